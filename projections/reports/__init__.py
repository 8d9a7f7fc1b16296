"""Reports on a log: audits, histories, differences, explanations, verification, and events in words."""
