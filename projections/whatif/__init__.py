"""What other settings would have made of recorded behaviour. What that can say and what not: decision record 0035."""
