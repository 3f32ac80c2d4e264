package dev.tflitesparse.demo.logic

import java.util.Locale

/** Measurements of several files beside each other, as text for a table: a row of titles, then one for each fact. */
object Comparison {
    private const val KB = 1000.0

    /** Compares the classes with those of the first measured file. */
    fun table(measured: Map<ModelChoice, Measurement>): List<List<String>> {
        val reference = measured.values.firstOrNull() ?: return emptyList()
        fun row(title: String, cell: (Measurement) -> String) = listOf(title) + measured.values.map(cell)
        return listOf(
            listOf("") + measured.keys.map(ModelChoice::title),
            row("size") { kilobytes(it.fileBytes.toLong()) },
            row("load") { milliseconds(it.loadMs) },
            row("latency, median") { milliseconds(it.latency.medianMs) },
            row("latency, 90 %") { milliseconds(it.latency.p90Ms) },
            row("peak memory") { it.peakBytes?.let(::kilobytes) ?: "not told" },
            row("same class as ${measured.keys.first().title}") {
                String.format(Locale.ROOT, "%.0f %%", it.agreement(reference) * 100)
            },
            row("largest difference from Python") { difference(it.largestDifference) },
        )
    }

    fun kilobytes(bytes: Long): String = String.format(Locale.ROOT, "%,.1f kB", bytes / KB)

    fun milliseconds(value: Double): String = String.format(Locale.ROOT, "%.3f ms", value)

    private fun difference(value: Float): String = if (value == 0f) "none" else String.format(Locale.ROOT, "%.1e", value)
}
