"""What makes pages and schemas from the code, so that they cannot say anything else."""
