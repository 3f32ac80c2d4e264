"""Which kernel an operator gets: never larger, never slower than dense by the model, within the dense file's RAM."""

import numpy as np
import pytest

from helpers import int8_nets, tiny_models
from tflite_sparse.codecs.streams import stream, work
from tflite_sparse.codecs.streams.kernels import PAIR_KERNELS, SHARED_KERNELS, Filter, Kernel
from tflite_sparse.codecs.streams.work import Pixels
from tflite_sparse.flatbuffer import serde
from tflite_sparse.flatbuffer.graph import graphs
from tflite_sparse.planning.encoder import encode_model
from tflite_sparse.rewrites import sparse_operator
from tflite_sparse.targets import arena_room, micro_costs, operator_costs, sparse_micro
from tflite_sparse.targets.micro import Micro
from tflite_sparse.targets.sparse_micro import SparseMicro

CPUS = ("generic", "cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")


def answer(model, cpu="cortex-m4", aim="size", library="cmsis-nn"):
    graph = next(graphs(serde.parse(tiny_models.to_bytes(model))))
    return SparseMicro(cpu, aim, library)(graph, 1, graph.uses()[1]), graph


def form(model, cpu="cortex-m4", aim="size"):
    found, _ = answer(model, cpu, aim)
    assert found.refusal is None
    return found.forms[0]


def dense(shape):
    return np.random.default_rng(0).integers(1, 100, shape).astype(np.int8)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("aim", ["size", "latency"])
def test_never_larger_and_never_slower(cpu, aim):
    models = [tiny_models.fully_connected((64, 600)), tiny_models.conv2d((32, 3, 3, 16), (10, 10))]
    for model in models[:1] if cpu == "cortex-m55" else models:  # where dense convolutions are faster, see below
        found = form(model, cpu, aim)
        assert found.instructions <= found.dense_instructions
        assert found.best.nbytes < len(model.buffers[1].data)


def sparse_costs(net, cpu, aim, library="standalone"):
    """Of the operators of a network that kernels compute."""
    model = serde.parse(tiny_models.to_bytes(net.finished()))
    encode_model(model, SparseMicro(cpu, aim, library))
    return [each for each in operator_costs.of(model, micro_costs.of(cpu, library)).operators if each.kernel]


def test_size_of_c_may_cost_a_quarter_where_the_bytes_are_worth_it(monkeypatch):
    """With Helium, where dense generated C is about as quick as a kernel."""
    net, cpu = int8_nets.ds_cnn(), "cortex-m55"
    found = sparse_costs(net, cpu, "size")
    assert len(found) == 4
    for each in found:
        assert 1 < each.instructions / each.dense_instructions <= 1.25
        assert each.instructions - each.dense_instructions < 100 * (each.dense_bytes - each.stored_bytes)
    assert not sparse_costs(net, cpu, "latency")
    for name, value in {"_MORE_INSTRUCTIONS": 1.0, "_WORTH_OF_A_BYTE": 1}.items():
        with monkeypatch.context() as changed:
            changed.setattr(sparse_micro, name, value)
            assert not sparse_costs(net, cpu, "size")


def test_size_of_c_does_not_save_a_few_bytes_for_a_third_of_the_time():
    net = int8_nets.Net((28, 28, 8)).conv(16, (3, 3)).max_pool().conv(32, (3, 3))
    small, quick = (sparse_costs(net, "cortex-m4", "size", library)[-1] for library in ("cmsis-nn", "standalone"))
    assert 0 < quick.stored_bytes - small.stored_bytes < 300
    assert quick.instructions < 0.75 * small.instructions


def test_size_takes_the_smallest_and_latency_the_fastest():
    model = tiny_models.fully_connected((64, 600))
    small, fast = form(model), form(model, aim="latency")
    assert (small.kernel, fast.kernel) == (Kernel.ROW_DELTA4, Kernel.ROW_INDEX8)
    assert small.best.nbytes < fast.best.nbytes
    assert small.instructions > fast.instructions


@pytest.mark.parametrize("cpu", ["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "generic"])
@pytest.mark.parametrize("make", [tiny_models.fully_connected, tiny_models.conv2d])
def test_few_values_take_a_byte_each_whoever_made_them(make, cpu):
    shape = (256, 1024) if make is tiny_models.fully_connected else (256, 1, 3, 16)
    weights = tiny_models.sparse_weights(shape)
    image = {} if make is tiny_models.fully_connected else {"image": (16, 16)}
    many, shared = (
        form(make(shape, weights=each, **image), cpu) for each in (weights, tiny_models.with_few_values(weights))
    )
    assert (many.kernel in SHARED_KERNELS, shared.kernel in SHARED_KERNELS) == (False, True)
    assert shared.best.nbytes - shared.best.overhead_bytes < 0.72 * (many.best.nbytes - many.best.overhead_bytes)
    assert shared.best.nbytes - shared.best.overhead_bytes < 1.2 * np.count_nonzero(weights) + shape[0]


@pytest.mark.parametrize(("outputs", "tables"), [(256, 2), (160, 1)])
def test_channels_of_two_kinds_take_two_tables_where_memory_allows(outputs, tables):
    """Each is 1,024 bytes; beside 1,024 inputs there is room for 8 bytes an output and two percent."""
    weights = tiny_models.with_few_values(tiny_models.sparse_weights((outputs, 1024)))
    weights[::3] = np.sign(weights[::3]) * (1 + np.abs(weights[::3]) // 4)
    found, graph = answer(tiny_models.fully_connected(weights.shape, weights=weights))
    assert found.forms[0].kernel == Kernel.ROW_SHARED
    found.forms[0].best.apply()
    (operator,) = sparse_operator.operators(graph)
    assert operator.tables == tables
    shape = Filter(outputs, 1, 1, 1024)
    assert operator.stream_bytes == stream.nbytes(Kernel.ROW_SHARED, shape, weights, tables)
    (cost,) = operator_costs.of(graph.model, micro_costs.of("cortex-m4")).operators
    assert cost.instructions == found.forms[0].instructions


@pytest.mark.parametrize("cpu", CPUS)
def test_seven_bits_a_weight_are_for_one_pixel_and_cpus_that_cut_them_out(cpu):
    weights = tiny_models.with_few_values(tiny_models.sparse_weights((256, 1024)), 4)
    matrix = tiny_models.fully_connected(weights.shape, weights=weights)
    small, fast = form(matrix, cpu), form(matrix, cpu, aim="latency")
    assert (small.kernel == Kernel.ROW_SHARED7) is (cpu not in ("cortex-m0", "cortex-m55"))
    assert fast.kernel != Kernel.ROW_SHARED7
    image = tiny_models.conv2d((256, 1, 1, 1024), (2, 4), weights=weights.reshape(256, 1, 1, 1024))
    assert form(image, cpu).kernel != Kernel.ROW_SHARED7


def test_seven_bits_a_weight_are_for_short_distances():
    """Of eight values equally frequent they tell 14 places, and every seventh weight is further away."""
    weights = tiny_models.with_few_values(tiny_models.sparse_weights((256, 1024)), 8)
    shape = Filter(256, 1, 1, 1024)
    sizes = [stream.nbytes(kernel, shape, weights, 2) for kernel in (Kernel.ROW_SHARED7, Kernel.ROW_SHARED)]
    assert sizes[0] < sizes[1]
    assert form(tiny_models.fully_connected(weights.shape, weights=weights)).kernel == Kernel.ROW_SHARED


def test_the_fastest_form_of_few_values_has_eight_bits():
    weights = tiny_models.with_few_values(tiny_models.sparse_weights((256, 1024)))
    model = tiny_models.fully_connected(weights.shape, weights=weights)
    assert form(model, aim="latency").kernel == Kernel.ROW_INDEX8


def test_the_table_of_symbols_counts_as_memory():
    shape = Filter(8, 3, 3, 84)
    for kernel, other in ((Kernel.PAIR_SHARED, Kernel.PAIR_DELTA8), (Kernel.PIXEL_SHARED, Kernel.PIXEL_DELTA8)):
        assert work.scratch_bytes(kernel, shape, 4) - work.scratch_bytes(other, shape, 4) == 1024
    shape = Filter(8, 1, 1, 84)
    assert [work.scratch_bytes(Kernel.ROW_SHARED, shape, 4, each) for each in (1, 2)] == [1024, 2048]
    assert [work.scratch_bytes(Kernel.ROW_SHARED7, shape, 4, each) for each in (1, 2)] == [512, 1024]


def test_pairs_are_for_cpus_that_multiply_to_64_bits():
    model = tiny_models.conv2d((64, 1, 3, 16), (16, 16))
    assert form(model, "cortex-m4").kernel in PAIR_KERNELS
    assert form(model, "cortex-m3").kernel == form(model, "generic").kernel == Kernel.PIXEL_DELTA8


@pytest.mark.parametrize("cpu", CPUS)
def test_without_zeros_weights_stay_dense(cpu):
    found, _ = answer(tiny_models.fully_connected((64, 600), weights=dense((64, 600))), cpu)
    assert not found.forms
    assert "bytes" in found.refusal or "instructions" in found.refusal


def test_convolutions_without_zeros_take_pairs_of_whole_weights_where_parameters_pay_for_it():
    """The parameters of 48 outputs take 144 bytes less, of 8 outputs more; and no CPU without DSP is faster so."""
    first = tiny_models.conv2d((48, 3, 3, 3), (20, 20), weights=dense((48, 3, 3, 3)))
    found = form(first)
    assert found.kernel == Kernel.PAIR_DENSE8
    assert found.best.nbytes < 48 * 27
    assert found.instructions < 0.7 * found.dense_instructions
    assert not answer(first, "cortex-m3")[0].forms
    assert not answer(tiny_models.conv2d((8, 3, 3, 3), (20, 20), weights=dense((8, 3, 3, 3))))[0].forms


def test_a_kernel_that_would_be_slower_is_refused_with_both_figures():
    weights = dense((64, 600))
    weights[:, ::2] = 0  # half: smaller, but Helium multiplies sixteen weights at once
    found, _ = answer(tiny_models.conv2d((64, 3, 3, 64), (8, 9), density=0.5), "cortex-m55")
    assert "the fastest kernel would take" in found.refusal


def test_generated_c_is_compared_with_dense_operators_of_its_own():
    """Those take about half of what CMSIS-NN takes: 60 % of zeros are then too few."""
    weights = tiny_models.sparse_weights((64, 600), density=0.4)
    graph = next(graphs(serde.parse(tiny_models.to_bytes(tiny_models.fully_connected((64, 600), weights=weights)))))
    assert SparseMicro("cortex-m4", "size")(graph, 1, graph.uses()[1]).forms
    assert "dense it takes" in SparseMicro("cortex-m4", "size", "standalone")(graph, 1, graph.uses()[1]).refusal


@pytest.mark.parametrize(
    ("tensor", "dtype", "value"), [(1, np.int8, -128), (2, np.int32, 2**30)], ids=["unpaired", "wide"]
)
def test_loops_that_rare_numbers_need_count_as_dense_costs_of_generated_c(tensor, dtype, value):
    model = tiny_models.conv2d((32, 3, 3, 16), (10, 10))
    usual = dense_costs(model)
    np.asarray(model.buffers[tensor].data).view(dtype)[0] = value
    rare = dense_costs(model)
    assert rare["standalone"] > 2 * usual["standalone"]
    assert rare["cmsis-nn"] == usual["cmsis-nn"]
    found, graph = answer(model, library="standalone")
    assert found.forms[0].dense_instructions == rare["standalone"]
    found.forms[0].best.apply()
    (sparse,) = operator_costs.of(graph.model, micro_costs.of("cortex-m4", "standalone")).operators
    assert (sparse.kernel, sparse.dense_instructions) == (found.forms[0].kernel, rare["standalone"])


def dense_costs(model):
    parsed, libraries = serde.parse(tiny_models.to_bytes(model)), ("standalone", "cmsis-nn")
    found = {each: operator_costs.of(parsed, micro_costs.of("cortex-m4", each)) for each in libraries}
    return {library: cost.operators[0].dense_instructions for library, cost in found.items()}


def test_large_absolute_sums_take_another_kernel():
    weights = np.where(np.arange(16 * 9 * 128).reshape(16, 3, 3, 128) % 3, 0, 127).astype(np.int8)
    assert stream.absolute_sums(weights).max() > 32768
    found = form(tiny_models.conv2d((16, 3, 3, 128), (4, 9), weights=weights), aim="latency")
    assert found.kernel == Kernel.PIXEL_DELTA8


def test_room_beside_the_tensors_that_are_alive():
    """Ten channels of 10 x 10 in, thirty-two out: all alive at once, so two percent and eight bytes a channel."""
    graph = next(graphs(serde.parse(tiny_models.to_bytes(tiny_models.conv2d((32, 3, 3, 16), (10, 10))))))
    (room,) = arena_room.of(graph).values()
    assert room == round(0.02 * 10 * 10 * (16 + 32)) + 8 * 32


def test_a_kernel_whose_scratch_does_not_fit_is_not_taken():
    """On an output of 8 columns pairs are the fastest; here they would take 12 kB beside tensors of 3 kB."""
    found = form(tiny_models.conv2d((8, 3, 3, 84), (4, 8)), aim="latency")
    assert found.kernel == Kernel.PIXEL_DELTA8
    assert work.scratch_bytes(Kernel.PAIR_DELTA8, Filter(8, 3, 3, 84), 4) == 12_096
    assert work.scratch_bytes(Kernel.PIXEL_DELTA8, Filter(8, 3, 3, 84), 4) == 3_024


def test_costs_of_a_file_are_those_that_the_form_announced():
    model = tiny_models.conv2d((32, 3, 3, 16), (10, 10))
    found, graph = answer(model)
    announced = found.forms[0]
    announced.best.apply()
    (cost,) = operator_costs.of(graph.model, micro_costs.of("cortex-m4")).operators
    assert (cost.kernel, cost.instructions) == (announced.kernel, announced.instructions)
    assert (cost.operator, cost.dense_instructions) == ("CONV_2D", announced.dense_instructions)


def behind_decode(dtype):
    model = serde.parse(tiny_models.to_bytes(tiny_models.fully_connected((64, 600), dtype=dtype)))
    encode_model(model, Micro("prune", 0))
    return operator_costs.of(model, micro_costs.of("cortex-m4"))


def test_what_a_file_stores_behind_decode_is_both_vectors():
    (cost,) = behind_decode("int8").operators
    assert cost.kernel is None
    assert cost.stored_bytes < cost.dense_bytes / 3 == 64 * 600 / 3
    assert cost.instructions == cost.dense_instructions


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_decoding_is_counted_in_values_not_bytes(dtype):
    assert behind_decode(dtype).decoded_values == 64 * 600


@pytest.mark.parametrize(
    ("cpu", "kernel", "shape", "pixels", "counted"),
    [
        ("cortex-m4", Kernel.ROW_INDEX8, Filter(128, 1, 1, 1024), Pixels(1, 1, 1), 74_968),
        ("cortex-m4", Kernel.PAIR_DELTA8, Filter(128, 1, 1, 128), Pixels(1, 8, 8), 258_046),
        ("cortex-m4", Kernel.STRIP_DELTA8, Filter(32, 3, 3, 32), Pixels(1, 16, 16), 483_978),
        ("cortex-m4", Kernel.PAIR_DENSE8, Filter(64, 10, 4, 1, (2, 2)), Pixels(1, 25, 5), 523_646),
        ("cortex-m0", Kernel.DIRECT_DELTA8, Filter(128, 1, 1, 128), Pixels(1, 8, 8), 1_320_000),
    ],
)
def test_the_model_is_near_what_was_counted(cpu, kernel, shape, pixels, counted):
    weights = tiny_models.sparse_weights(shape.shape)
    costs = micro_costs.of(cpu)
    assert costs.of_kernel(kernel, shape, weights, pixels) == pytest.approx(counted, rel=costs.error)


@pytest.mark.parametrize(
    ("shape", "pixels", "is_matrix", "counted"),
    [
        (Filter(128, 1, 1, 1024), Pixels(1, 1, 1), True, 252_211),
        (Filter(128, 1, 1, 128), Pixels(1, 8, 8), False, 1_837_696),
        (Filter(32, 3, 3, 32), Pixels(1, 16, 16), False, 4_538_241),
    ],
)
def test_dense_costs_are_near_those_of_cmsis_nn(shape, pixels, is_matrix, counted):
    costs = micro_costs.of("cortex-m4")
    assert costs.of_dense(shape, pixels, is_matrix=is_matrix) == pytest.approx(counted, rel=costs.error)
