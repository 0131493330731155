"""dlhw: course-scale deep-learning experiments, trained by Lightning and composed by Hydra."""
