package dev.tflitesparse.demo.logic

import dev.tflitesparse.demo.classifier.ModelFile
import dev.tflitesparse.demo.classifier.SparseClassifier
import org.json.JSONArray
import org.json.JSONObject

/**
 * Costs and answers of one file on this phone.
 *
 * @property fileBytes its size.
 * @property loadMs from opening it to being ready to run.
 * @property latency of single runs.
 * @property peakBytes growth of the process's memory; null if the kernel does not report it.
 * @property classes chosen for the samples of `golden.json`.
 * @property largestDifference from Python's outputs: int8 steps, or real numbers of a float32 file.
 */
data class Measurement(
    val fileBytes: Int,
    val loadMs: Double,
    val latency: Latency,
    val peakBytes: Long?,
    val classes: List<Int>,
    val largestDifference: Float,
) {
    /** Share of samples for which both choose the same class. */
    fun agreement(other: Measurement): Double {
        require(classes.size == other.classes.size) { "${classes.size} and ${other.classes.size} samples" }
        return classes.indices.count { classes[it] == other.classes[it] } / classes.size.toDouble()
    }

    /** For a message between processes. */
    fun toJson(): String = JSONObject()
        .put("fileBytes", fileBytes)
        .put("loadMs", loadMs)
        .put("runs", latency.runs)
        .put("medianMs", latency.medianMs)
        .put("p90Ms", latency.p90Ms)
        .put("peakBytes", peakBytes ?: JSONObject.NULL)
        .put("classes", JSONArray(classes))
        .put("largestDifference", largestDifference.toDouble())
        .toString()

    companion object {
        private const val NANOS_PER_MS = 1e6

        /** Parse the result of [toJson]. */
        fun fromJson(json: String): Measurement = with(JSONObject(json)) {
            val classes = getJSONArray("classes")
            Measurement(
                getInt("fileBytes"),
                getDouble("loadMs"),
                Latency(getInt("runs"), getDouble("medianMs"), getDouble("p90Ms")),
                if (isNull("peakBytes")) null else getLong("peakBytes"),
                List(classes.length(), classes::getInt),
                getDouble("largestDifference").toFloat(),
            )
        }

        /**
         * Load a file, run it, and compare it with Python. Call it once in a process: the peak is over its lifetime.
         *
         * @param runs number of runs for the latency.
         * @param memory reads the memory of the process.
         * @throws dev.tflitesparse.demo.classifier.ClassifierException the file cannot be used.
         */
        fun of(file: ModelFile, golden: Golden, runs: Int, memory: () -> ProcessMemory?): Measurement {
            val before = memory()
            val start = System.nanoTime()
            return SparseClassifier.open(file).use { classifier ->
                val loadMs = (System.nanoTime() - start) / NANOS_PER_MS
                val first = golden.samples.first().input
                val latency = Latency.measure(runs) { classifier.classify(first) }
                val peak = memory()?.peak
                val found = golden.samples.map { classifier.classify(it.input) }
                Measurement(
                    fileBytes = file.bytes().limit(),
                    loadMs = loadMs,
                    latency = latency,
                    peakBytes = if (peak == null || before == null) null else peak - before.resident,
                    classes = found.map { it.best.index },
                    largestDifference = found.indices.maxOf { golden.difference(file.name, it, found[it]) },
                )
            }
        }
    }
}
