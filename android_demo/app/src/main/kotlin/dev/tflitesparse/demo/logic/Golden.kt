package dev.tflitesparse.demo.logic

import dev.tflitesparse.demo.classifier.Classification
import org.json.JSONArray
import org.json.JSONObject
import kotlin.math.abs

/**
 * A sample of `golden.json`.
 *
 * @property input real values for the classifier.
 * @property label its class, null if unknown.
 */
class GoldenSample(val input: FloatArray, val label: Int?)

/**
 * Results of Python's runtime: samples, and each file's outputs for them, in int8 values or float32.
 *
 * `tflite-sparse export --android-assets` writes it beside the models.
 */
class Golden private constructor(
    val samples: List<GoldenSample>,
    private val outputs: Map<String, List<FloatArray>>,
) {
    /** Names of the model files with outputs. */
    val files: Set<String> get() = outputs.keys

    /**
     * Distance of a result from Python's.
     *
     * @return 0 if they are equal: of int8 outputs in int8 steps, of float32 outputs as a real number.
     */
    fun difference(file: String, sample: Int, found: Classification): Float {
        val expected = outputs.getValue(file)[sample]
        val values = found.quantised?.map(Byte::toFloat) ?: found.scores.toList()
        require(values.size == expected.size) { "$file: ${values.size} outputs, ${expected.size} expected" }
        return values.indices.maxOf { abs(values[it] - expected[it]) }
    }

    companion object {
        const val NAME = "golden.json"

        /** @throws org.json.JSONException the text is no such file. */
        fun parse(json: String): Golden {
            val root = JSONObject(json)
            val samples = root.getJSONArray("samples").objects().map {
                GoldenSample(it.getJSONArray("input").floats(), if (it.isNull("label")) null else it.getInt("label"))
            }
            val outputs = root.getJSONObject("outputs")
            return Golden(
                samples,
                outputs.keys().asSequence().associateWith { file ->
                    val rows = outputs.getJSONArray(file)
                    List(rows.length()) { rows.getJSONArray(it).floats() }
                },
            )
        }

        private fun JSONArray.objects(): List<JSONObject> = List(length(), ::getJSONObject)

        private fun JSONArray.floats(): FloatArray = FloatArray(length()) { getDouble(it).toFloat() }
    }
}
