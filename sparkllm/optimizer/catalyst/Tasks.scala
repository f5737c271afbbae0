package sparkllm.catalyst

import scala.jdk.CollectionConverters._

import com.fasterxml.jackson.databind.JsonNode

/** The named tasks, from the same tasks.json that Python reads: jar.py packs it into the jar. */
object Tasks {
  private val resource = "/sparkllm/tasks.json"

  private lazy val all: JsonNode = {
    val stream = getClass.getResourceAsStream(resource)
    require(stream != null,
      s"$resource is missing from the sparkllm jar; build it with sparkllm.optimizer.jar.build_jar()")
    try LLMSpec.mapper.readTree(stream)
    finally stream.close()
  }

  lazy val names: Seq[String] = Seq("classify")

  def instruction(name: String): String = all.path(name).path("instruction").asText()

  /** The answers of a task where the call names none. */
  def labels(task: String): Seq[String] =
    all.path(task).path("arguments").path(0).path("default").elements().asScala.map(_.asText()).toSeq
}
