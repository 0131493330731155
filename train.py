"""Train one run, or with -m a sweep of runs: python train.py task=bloodmnist model=cnn_pool"""

from omegaconf import DictConfig

from dlhw.launch import hydra_main


def train(cfg: DictConfig) -> str:
    from dlhw.run import main  # imports torch: only once the configuration has been composed

    return main(cfg)


if __name__ == "__main__":
    hydra_main(train)
