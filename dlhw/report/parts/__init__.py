"""What chapters are made from: tables, figures and sentences about runs of one kind."""
