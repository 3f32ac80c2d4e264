package dev.tflitesparse.demo.logic

/** Times of single runs, in milliseconds. */
data class Latency(val runs: Int, val medianMs: Double, val p90Ms: Double) {
    companion object {
        private const val NANOS_PER_MS = 1e6
        private const val WARM_UPS = 5

        /** Run [work] a few times unmeasured, then [runs] times against [nanoTime]. */
        fun measure(runs: Int, nanoTime: () -> Long = System::nanoTime, work: () -> Unit): Latency {
            require(runs > 0) { "$runs runs" }
            repeat(WARM_UPS) { work() }
            return of(
                LongArray(runs) {
                    val start = nanoTime()
                    work()
                    nanoTime() - start
                },
            )
        }

        /** Compute median and 90th percentile of times in nanoseconds. */
        fun of(nanos: LongArray): Latency {
            val sorted = nanos.sortedArray()
            fun percentile(share: Int) = sorted[(sorted.size * share + 99) / 100 - 1] / NANOS_PER_MS
            return Latency(nanos.size, percentile(50), percentile(90))
        }
    }
}
