package dev.tflitesparse.demo.logic

/**
 * Memory of this process as Linux counts it, in bytes.
 *
 * @property resident present memory (`VmRSS`).
 * @property peak maximum so far (`VmHWM`).
 */
data class ProcessMemory(val resident: Long, val peak: Long) {
    companion object {
        const val STATUS = "/proc/self/status"
        private const val KIB = 1024L

        /** Parse the text of [STATUS]; null if the kernel does not report it. */
        fun parse(status: String): ProcessMemory? {
            fun entry(name: String) =
                status.lineSequence().firstOrNull { it.startsWith("$name:") }
                    ?.split(Regex("\\s+"))?.getOrNull(1)?.toLongOrNull()?.times(KIB)
            return ProcessMemory(entry("VmRSS") ?: return null, entry("VmHWM") ?: return null)
        }
    }
}
