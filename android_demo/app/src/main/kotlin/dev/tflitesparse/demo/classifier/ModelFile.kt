package dev.tflitesparse.demo.classifier

import com.google.ai.edge.litert.CompiledModel
import java.nio.ByteBuffer

/** Source of a model: the app's assets on a phone, a folder in tests. */
interface ModelFile {

    /** Its name in messages. */
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
