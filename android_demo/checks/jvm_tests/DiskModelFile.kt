package dev.tflitesparse.demo

import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import dev.tflitesparse.demo.classifier.ModelFile
import java.io.File
import java.nio.ByteBuffer

/** A model on the disk of the machine that tests run on. */
class DiskModelFile(private val file: File) : ModelFile {
    override val name: String get() = file.name

    override fun bytes(): ByteBuffer = ByteBuffer.wrap(file.readBytes())

    override fun compile(): CompiledModel =
        CompiledModel.create(file.path, CompiledModel.Options(Accelerator.CPU), null)
}

/** The folder that `tflite-sparse export --android-assets` filled. */
val assets = File(System.getProperty("assets"))
