"""Scripts as a user writes them, which use every public name; `test_user_scripts.py` says how."""
