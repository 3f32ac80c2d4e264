package dev.tflitesparse.demo.ui

import android.content.res.AssetManager
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import dev.tflitesparse.demo.classifier.ModelFile
import java.io.FileInputStream
import java.io.FileNotFoundException
import java.nio.ByteBuffer
import java.nio.channels.FileChannel

/** A model among the app's assets: mapped if it is stored there, inflated if it is compressed. */
class AssetModelFile(private val assets: AssetManager, override val name: String) : ModelFile {

    override fun bytes(): ByteBuffer = try {
        assets.openFd(name).use { asset ->
            FileInputStream(asset.fileDescriptor).channel.use { channel ->
                channel.map(FileChannel.MapMode.READ_ONLY, asset.startOffset, asset.length)
            }
        }
    } catch (_: FileNotFoundException) { // thrown for compressed assets, which have no file region in the APK
        ByteBuffer.wrap(assets.open(name).use { it.readBytes() })
    }

    override fun compile(): CompiledModel =
        CompiledModel.create(assets, name, CompiledModel.Options(Accelerator.CPU), null)
}
