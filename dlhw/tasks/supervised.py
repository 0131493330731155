"""The training loop that all tasks share: several optimizer steps a call, resumable after any of them.

Nothing in a step depends on a state that a checkpoint would miss: the order, the augmentation, the dropout masks and the learning rate
are functions of (seed, epoch, step), and the position of the run is saved as these numbers. Lightning's own loop counters are left
out of checkpoints: they cannot describe a place between two optimizer steps of one call.
"""

import time
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dlhw.data.batches import Batch
from dlhw.errors import Diverged, UserError
from dlhw.optimization import Optimization
from dlhw.randomness import reseed
from dlhw.specs import spec_to_dict

SPLITS = ("val", "test", "train")


class SupervisedTask(L.LightningModule):
    """Base of the tasks. A subclass gives :meth:`_step`, :meth:`outputs` and :meth:`metrics_of`.

    Args:
        net: the network; it gives logits.
        spec: what the data is.
        optimization: optimizer and schedule.
        seed: of everything that is drawn at random during the training.
    """

    def __init__(self, net: nn.Module, spec: Any, optimization: Optimization, seed: int) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.net, self.spec, self.optimization, self.seed = net, spec, optimization, seed
        ema = optimization.settings.ema
        self.average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(ema), use_buffers=True) if ema else None
        if self.average:
            self.average.requires_grad_(False)  # several devices would wait for its gradients
        self.asked_to_stop: Callable[[], bool] = lambda: False  # looked at between optimizer steps, and between batches that are scored
        self.epoch, self.step, self.seconds = 0, 0, 0.0  # where the training is, and the seconds that its steps took
        self._sums: dict[str, float] = {}  # of this epoch so far: sums over samples
        self._resumed = False
        self._gradients: dict[str, Tensor] = {}  # of a resumed run, which go into its next update
        self._collected: dict[str, list[tuple[Tensor, ...]]] = {split: [] for split in SPLITS}
        self.predictions: dict[str, Any] = {}  # tensors or NumPy arrays

    # What a subclass gives.

    def refuse_settings(self) -> None:
        """Refuse what would do nothing in a training, before it begins; a finished run may be older than a refusal, and is not asked.

        Raises:
            UserError: naming the knob.
        """

    @abstractmethod
    def _step(self, batch: Batch, split: str) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss of a training batch, and sums over its samples of what else is tracked, such as ``acc``."""

    @abstractmethod
    def outputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """What :meth:`metrics_of` needs of an evaluation batch, each with the samples along the first axis."""

    @abstractmethod
    def metrics_of(self, collected: tuple[Tensor, ...], split: str) -> dict[str, Tensor]:
        """Metrics of a whole split from its outputs."""

    @property
    @abstractmethod
    def measured(self) -> tuple[str, ...]:
        """The names of what :meth:`metrics_of` gives for the validation split, one of which is monitored."""

    @property
    def notes(self) -> dict[str, Any]:
        """What ``result.json`` says of how the metrics were taken."""
        return {}

    @property
    def evaluated(self) -> nn.Module:
        """The network that is scored and used: the averaged copy where there is one."""
        return self.average.module if self.average else self.net

    # Training.

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.optimization.optimizer(self.net.parameters())

    def on_train_start(self) -> None:
        for name, gradient in self._gradients.items():
            self.net.get_parameter(name).grad = gradient.to(self.device)
        self._gradients = {}

    def on_train_epoch_start(self) -> None:
        if not self._resumed:
            self.epoch, self.step, self._sums = self.current_epoch, 0, {}
        self._resumed = False

    def training_step(self, batches: list[Batch], index: int) -> None:
        begin = time.perf_counter()
        optimizer: Any = self.optimizers()
        loader: Any = self.trainer.train_dataloader
        accumulate, steps = self.optimization.settings.accumulate, loader.steps
        tracked: list[tuple[int, Tensor, dict[str, Tensor]]] = []
        for batch in batches:
            reseed(self.seed, self.epoch, self.step, self.global_rank, self.device)
            loss, sums = self._step(batch, "train")
            if loss.requires_grad:  # not of a network that was solved in closed form
                with torch.autocast(self.device.type, enabled=False):  # autocast is for the forward pass
                    self.manual_backward(loss / min(accumulate, steps - self.step // accumulate * accumulate))  # fewer may be left
            tracked.append((len(batch[-1]), loss.detach(), sums))
            self.step += 1
            if self.step % accumulate == 0 or self.step == steps:
                self._update(optimizer, (self.epoch * steps + self.step - 1) / (self.trainer.max_epochs * steps))
            if self.asked_to_stop():
                break
        if tracked:
            self._add(tracked)
        if self.trainer.world_size > 1:  # running statistics, which each process has of its own samples: all go on with the first one's
            for buffer in self.buffers():
                torch.distributed.broadcast(buffer, 0)
        seconds = time.perf_counter() - begin
        self.seconds += seconds
        self._sums["seconds"] = self._sums.get("seconds", 0.0) + seconds

    def _update(self, optimizer: Any, done: float) -> None:
        rate = self.optimization.rate(done)
        for group in optimizer.param_groups:
            group["lr"] = rate
        if self.optimization.settings.clip_norm:
            nn.utils.clip_grad_norm_(self.net.parameters(), self.optimization.settings.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        torch.clear_autocast_cache()  # it holds copies of the weights as they were before this step
        if self.average:
            self.average.update_parameters(self.net)

    def _add(self, tracked: list[tuple[int, Tensor, dict[str, Tensor]]]) -> None:
        """Add the losses and sums of a call to the epoch's; one synchronisation with the device.

        Raises:
            Diverged: naming the epoch and the first step whose loss is not finite.
        """
        losses = torch.stack([loss for _, loss, _ in tracked])
        own = losses.tolist()
        several = self.trainer.world_size > 1  # all of them must end here: else the others would wait for this one's gradients for ever
        everywhere = self.trainer.strategy.reduce(losses, reduce_op="sum").tolist() if several else own
        for step, loss in enumerate(everywhere, self.step - len(tracked)):
            if not abs(loss) < float("inf"):
                raise Diverged(
                    f"the loss is {loss} in epoch {self.epoch + 1}, step {step + 1}: "
                    "a lower optim.lr, optim.clip_norm=1 or trainer.precision=32-true may help"
                )
        sizes = [size for size, _, _ in tracked]
        self._count("samples", sizes)
        self._count("loss", [size * loss for size, loss in zip(sizes, own, strict=True)])
        for name in tracked[0][2]:
            self._count(name, torch.stack([sums[name] for _, _, sums in tracked]).tolist())

    def _count(self, name: str, values: Iterable[float]) -> None:
        """Add to a sum of this epoch, one step after the other, so that it does not matter which steps were one call."""
        for value in values:
            self._sums[name] = self._sums.get(name, 0) + value

    def on_train_epoch_end(self) -> None:
        sums = self._sums
        samples, seconds = sums["samples"], sums["seconds"]
        values = {f"train/{name}": value / samples for name, value in sums.items() if name not in ("samples", "seconds")}
        self._log({**values, "lr": self._rate(), "samples_per_second": samples * self.trainer.world_size / max(seconds, 1e-9)})
        self.epoch, self.step, self._sums = self.current_epoch + 1, 0, {}

    def _rate(self) -> float:
        optimizer: Any = self.optimizers()
        return optimizer.param_groups[0]["lr"]

    def _log(self, values: dict[str, float]) -> None:
        """Hand metrics of the epoch to the callbacks; the recorder writes them."""
        dtype = torch.float32 if self.device.type == "mps" else torch.float64
        on_device = {name: torch.tensor(value, dtype=dtype, device=self.device) for name, value in values.items()}
        self.log_dict(on_device, logger=False, sync_dist=self.trainer.world_size > 1)

    # Evaluation.

    def validation_step(self, batches: list[Batch], index: int, dataloader_idx: int = 0) -> None:
        trainer: Any = self.trainer
        self._collect(trainer.datamodule.scored[dataloader_idx], batches)

    def on_validation_epoch_end(self) -> None:
        for split in SPLITS:
            if self._collected[split]:
                values = self.metrics_of(self._take(split), split)
                if split == "train":
                    values.pop("loss")  # the training's own stands there
                self.log_dict({f"{split}/{name}": value for name, value in values.items()}, logger=False, add_dataloader_idx=False)

    def test_step(self, batches: list[Batch], index: int) -> None:
        self._collect("test", batches)

    def _collect(self, split: str, batches: list[Batch]) -> None:
        for batch in batches:
            self._collected[split].append(self.outputs(batch))
            if self.asked_to_stop():
                break

    def on_test_epoch_end(self) -> None:
        collected = self._take("test")
        self.log_dict({f"test/{name}": value for name, value in self.metrics_of(collected, "test").items()}, logger=False)
        self.keep_predictions(collected)

    def _take(self, split: str) -> tuple[Tensor, ...]:
        columns = tuple(torch.cat(column) for column in zip(*self._collected[split], strict=True))
        self._collected[split] = []
        return columns

    def keep_predictions(self, collected: tuple[Tensor, ...]) -> None:
        """Set ``predictions`` (name: array over the test split), which the run stores."""

    # Checkpoints.

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        del checkpoint["loops"]
        checkpoint["spec"] = spec_to_dict(self.spec)
        checkpoint["position"] = {
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
            "sums": self._sums,
            "global_step": self.global_step,
            "should_stop": self.trainer.should_stop,
        }
        # Those of the epoch that is at its end: best.ckpt is written there and nowhere else.
        checkpoint["metrics"] = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        checkpoint["data"] = dict(self.trainer.datamodule.checksums)  # type: ignore[attr-defined]  # what it was trained on
        checkpoint["gradients"] = {name: weight.grad for name, weight in self.net.named_parameters() if weight.grad is not None}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        position = checkpoint.get("position")
        if position is None:
            raise UserError("this checkpoint was not written by dlhw: it has no position")
        if self._trainer is None or not self.trainer.training:
            return
        self.epoch, self.step, self.seconds = position["epoch"], position["step"], position["seconds"]
        self._sums = dict(position["sums"])
        self._resumed = True
        self._gradients = checkpoint["gradients"]
        self.trainer.should_stop = position["should_stop"]
        trainer: Any = self.trainer
        loop = trainer.fit_loop
        loop.epoch_progress.current.ready = loop.epoch_progress.current.started = self.epoch
        loop.epoch_progress.current.processed = loop.epoch_progress.current.completed = self.epoch
        loop.epoch_loop.manual_optimization.optim_step_progress.total.completed = position["global_step"]
        trainer.datamodule.start = (self.epoch, self.step)
