"""What the log says, for people and checks: audits, differences, explanations, verification, words."""
