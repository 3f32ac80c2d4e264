package dev.tflitesparse.demo.classifier

/** One class and the score that the model gave it. */
data class Score(val index: Int, val label: String, val value: Float)

/**
 * Output of a model for one sample.
 *
 * @property scores one for each class, as real numbers: probabilities where the model ends in a softmax.
 * @property quantised the same in the model's own int8 values, null if its output is float32.
 */
class Classification(val scores: FloatArray, val quantised: ByteArray?, private val labels: List<String>) {

    /** The best [count] classes, best first; of equal ones the first. */
    fun top(count: Int): List<Score> =
        scores.indices.sortedByDescending(scores::get).take(count).map { Score(it, labels[it], scores[it]) }

    /** The best class. */
    val best: Score get() = top(1).single()
}
