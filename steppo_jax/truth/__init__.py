"""Small multi-turn MDPs that are solved exactly, to hold estimators against.

`mdp` and `language` are the tables, `chain`, `key_door` and `work` the instances,
`exact` the solution in float64 NumPy, `rollouts`, `sample` and `enumeration` the
data, `estimate` what an estimator of credit makes of it.
"""
