.PHONY: docs
# Build the documentation into docs/_build/html; warnings are errors.
docs:
	python -m sphinx -W --keep-going -b html docs docs/_build/html
	python -m sphinx -W -b doctest docs docs/_build/doctest
