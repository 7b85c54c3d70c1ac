"""One module a stage; a stage imports the model and never another stage."""
