.PHONY: docs doctest linkcheck
# Build the documentation into docs/_build/html; warnings are errors.
docs:
	python -m sphinx -W --keep-going -b html docs docs/_build/html

# Run the examples in docstrings and guides.
doctest:
	python -m sphinx -W -b doctest docs docs/_build/doctest

# Follow every link, those to other sites too.
linkcheck:
	python -m sphinx -b linkcheck docs docs/_build/linkcheck
