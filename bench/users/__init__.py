"""The users: a query's result of fifty columns of text, and what each of its rows is as an object."""
