"""Give functions that take the path of a model something else."""

import pytest

import tflite_sparse
from tflite_sparse.errors import ModelError


@pytest.mark.parametrize("function", [tflite_sparse.prune, tflite_sparse.scan])
def test_a_live_model_is_refused_with_what_prunes_one(function):
    arguments = (object(), None, "pruned.keras")[: 3 if function is tflite_sparse.prune else 2]
    with pytest.raises(ModelError, match=r"the model is a object, .* save it as \.keras\. Or .*MagnitudePruning"):
        function(*arguments)
