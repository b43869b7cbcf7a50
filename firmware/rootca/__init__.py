"""The root CA that lives on the CF card: its files, and how they are written so that nothing can be lost."""
