"""Pages and figures from results: what is here reads run folders and nothing else."""
