package dev.tflitesparse.demo.logic

import dev.tflitesparse.demo.classifier.Score

/** Input to classify. */
sealed interface Input {
    /** Nothing yet. */
    data object Empty : Input

    /** A finger's drawing. */
    data object Drawn : Input

    /** A bundled image, by its number in `golden.json`. */
    data class Sample(val index: Int, val label: String?) : Input
}

/** Result of a classification. */
sealed interface Outcome {
    data object None : Outcome

    data object Working : Outcome

    data class Classified(val scores: List<Score>, val latency: Latency) : Outcome

    data class Failed(val message: String) : Outcome
}

/** Contents of the screen; every change is a new state. */
data class DemoState(
    val model: ModelChoice = ModelChoice.SPARSE_INT8,
    val runs: Int = 100,
    val input: Input = Input.Empty,
    val outcome: Outcome = Outcome.None,
) {
    /** Whether there is an input and no classification is running. */
    val isReady: Boolean get() = input != Input.Empty && outcome != Outcome.Working

    /** Choose another file: keep the input, drop its result. */
    fun choose(model: ModelChoice): DemoState = copy(model = model, outcome = Outcome.None)

    fun drew(): DemoState = copy(input = Input.Drawn, outcome = Outcome.None)

    fun cleared(): DemoState = copy(input = Input.Empty, outcome = Outcome.None)

    /** The bundled image after the one that is shown; the first one after a drawing. */
    fun nextSample(golden: Golden, labels: List<String>): DemoState {
        val index = (((input as? Input.Sample)?.index ?: -1) + 1) % golden.samples.size
        val label = golden.samples[index].label?.let(labels::getOrNull)
        return copy(input = Input.Sample(index, label), outcome = Outcome.None)
    }

    fun working(): DemoState = copy(outcome = Outcome.Working)

    fun classified(scores: List<Score>, latency: Latency): DemoState = copy(outcome = Outcome.Classified(scores, latency))

    fun failed(message: String): DemoState = copy(outcome = Outcome.Failed(message))

    /** Status in one line. */
    fun headline(): String = when (val found = outcome) {
        Outcome.None -> if (input == Input.Empty) "Draw a digit, or take a bundled image." else "Ready."
        Outcome.Working -> "Running ${model.title} ..."
        is Outcome.Failed -> found.message
        is Outcome.Classified -> {
            val label = (input as? Input.Sample)?.label
            val truth = if (label == null) "" else ", labelled $label"
            "${found.scores.first().label}$truth; median of ${found.latency.runs} runs " +
                Comparison.milliseconds(found.latency.medianMs)
        }
    }
}
