"""What the verbs give back: plans, reports, verifications, estimates, states."""
