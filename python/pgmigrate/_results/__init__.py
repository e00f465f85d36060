"""The results of the verbs: plans, reports, verifications, estimates, states."""
