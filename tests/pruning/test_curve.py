"""Join successive trainings into one curve."""

from tflite_sparse.pruning import curve
from tflite_sparse.results.prune import Curve


def test_trainings_are_joined_in_order():
    first = Curve(steps=[0, 5, 10], sparsity=[0.0, 0.4, 0.5], learning_rate=[1.0, 0.5, 0.0])
    second = Curve(steps=[0, 4], sparsity=[0.5, 0.6], learning_rate=[1.0, 0.0])
    joined = curve.joined([first, second])
    assert joined == Curve(
        steps=[0, 5, 10, 11, 15], sparsity=[0.0, 0.4, 0.5, 0.5, 0.6], learning_rate=[1.0, 0.5, 0.0, 1.0, 0.0]
    )
    assert curve.joined([first]) == first
    assert curve.joined([]) is None
