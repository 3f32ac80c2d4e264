package dev.tflitesparse.demo.classifier

/** A model or an input cannot be used; the message names it and the cure. */
class ClassifierException(message: String, cause: Throwable? = null) : Exception(message, cause)
