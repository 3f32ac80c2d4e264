package dev.tflitesparse.demo.classifier

import com.google.ai.edge.litert.CompiledModel
import java.nio.ByteBuffer

/** Where a model comes from: the app's assets on a phone, a folder in tests. */
interface ModelFile {

    /** How messages call it. */
    val name: String

    /**
     * The whole file, mapped if that is possible.
     *
     * @throws java.io.IOException there is none.
     */
    fun bytes(): ByteBuffer

    /** Load it into the runtime, for the CPU. */
    fun compile(): CompiledModel
}
