/**
 * As much of the languages of Gradle and of its Android plugin as the build files of the demo speak.
 *
 * The files become the bodies of functions here, so that the compiler reads every line of them; what they set is printed.
 */
package gradle

import org.jetbrains.kotlin.gradle.dsl.JvmTarget

/** Prints `name=value`, a line for each thing that a file says. */
private fun tell(name: String, value: Any) = println("$name=$value")

enum class RepositoriesMode { PREFER_PROJECT, PREFER_SETTINGS, FAIL_ON_PROJECT_REPOS }

enum class JavaVersion(private val number: String) {
    VERSION_11("11"), VERSION_17("17"), VERSION_21("21");

    override fun toString() = number
}

class Repositories(private val owner: String) {
    fun google() = tell("$owner.repository", "google")

    fun mavenCentral() = tell("$owner.repository", "mavenCentral")

    fun gradlePluginPortal() = tell("$owner.repository", "gradlePluginPortal")
}

class Management(private val owner: String) {
    var repositoriesMode = RepositoriesMode.PREFER_PROJECT
        set(value) = tell("$owner.repositoriesMode", value).also { field = value }

    fun repositories(block: Repositories.() -> Unit) = Repositories(owner).block()
}

class RootProject {
    var name = ""
        set(value) = tell("rootProject.name", value).also { field = value }
}

class Settings {
    val rootProject = RootProject()

    fun pluginManagement(block: Management.() -> Unit) = Management("plugins").block()

    fun dependencyResolutionManagement(block: Management.() -> Unit) = Management("dependencies").block()

    fun include(path: String) = tell("include", path)
}

/** A plugin or library of the version catalog. */
class Entry(val coordinates: String)

class Plugins {
    fun alias(plugin: Entry): Entry = plugin.also { tell("plugin", it.coordinates) }

    infix fun Entry.apply(isApplied: Boolean) = tell("plugin.apply", "$coordinates:$isApplied")
}

class DefaultConfig {
    var applicationId = ""
        set(value) = tell("applicationId", value).also { field = value }
    var minSdk = 0
        set(value) = tell("minSdk", value).also { field = value }
    var targetSdk = 0
        set(value) = tell("targetSdk", value).also { field = value }
    var versionCode = 0
        set(value) = tell("versionCode", value).also { field = value }
    var versionName = ""
        set(value) = tell("versionName", value).also { field = value }
}

class BuildType(private val name: String) {
    var isMinifyEnabled = false
        set(value) = tell("$name.isMinifyEnabled", value).also { field = value }
}

class BuildTypes {
    fun release(block: BuildType.() -> Unit) = BuildType("release").block()
}

class CompileOptions {
    var sourceCompatibility = JavaVersion.VERSION_11
        set(value) = tell("sourceCompatibility", value).also { field = value }
    var targetCompatibility = JavaVersion.VERSION_11
        set(value) = tell("targetCompatibility", value).also { field = value }
}

class Extensions {
    operator fun plusAssign(extension: String) = tell("noCompress", extension)
}

class AndroidResources {
    val noCompress = Extensions()
}

class Android {
    var namespace = ""
        set(value) = tell("namespace", value).also { field = value }
    var compileSdk = 0
        set(value) = tell("compileSdk", value).also { field = value }

    fun defaultConfig(block: DefaultConfig.() -> Unit) = DefaultConfig().block()

    fun buildTypes(block: BuildTypes.() -> Unit) = BuildTypes().block()

    fun compileOptions(block: CompileOptions.() -> Unit) = CompileOptions().block()

    fun androidResources(block: AndroidResources.() -> Unit) = AndroidResources().block()
}

class CompilerOptions {
    var jvmTarget = JvmTarget.JVM_1_8
        set(value) = tell("jvmTarget", value.target).also { field = value }
}

class KotlinExtension {
    fun compilerOptions(block: CompilerOptions.() -> Unit) = CompilerOptions().block()
}

class Dependencies {
    fun implementation(library: Entry) = tell("implementation", library.coordinates)

    fun testImplementation(library: Entry) = tell("testImplementation", library.coordinates)
}

class Project {
    fun plugins(block: Plugins.() -> Unit) = Plugins().block()

    fun android(block: Android.() -> Unit) = Android().block()

    fun kotlin(block: KotlinExtension.() -> Unit) = KotlinExtension().block()

    fun dependencies(block: Dependencies.() -> Unit) = Dependencies().block()
}
