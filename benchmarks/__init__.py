"""Speed against the loops that people write, side by side: ``make bench``."""
