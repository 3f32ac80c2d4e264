package dev.tflitesparse.demo.logic

/** The three files that an export writes. */
enum class ModelChoice(val file: String, val title: String) {
    DENSE_FLOAT32("dense-float32.tflite", "dense float32"),
    DENSE_INT8("dense-int8.tflite", "dense int8"),
    SPARSE_INT8("model.tflite", "sparse int8"),
}
