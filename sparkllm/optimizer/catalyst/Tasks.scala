package sparkllm.catalyst

import scala.collection.concurrent.TrieMap
import scala.jdk.CollectionConverters._

import com.fasterxml.jackson.databind.JsonNode
import org.apache.spark.sql.types.{DataType, StructType}

/** A constant that a task takes behind its data: a String, an Int or a Seq of Strings. */
case class TaskArgument(name: String, kind: String, default: Option[Any])

/** One entry of tasks.json (sparkllm/tasks.py says how it reads), or a task of the user's own.
  *
  * @param output what the table says: STRING, BOOLEAN, LABELS, SCHEMA or the type of a column
  * @param labels the only answers there are where a call names none
  * @param held of a task of the user's own: how its answers are held */
case class Task(
    name: String, instruction: String, output: String, labels: Seq[String], first: String = "x",
    arguments: Seq[TaskArgument] = Nil, instead: Option[String] = None, template: Boolean = true,
    held: Option[Held] = None) {
  def function: String = if (name.startsWith("ai_")) name else s"llm_$name"

  /** `llm_translate(x, lang)` */
  def signature: String = {
    val data = first match {
      case "pair" => Seq("a", "b")
      case "prompt" => Seq("prompt", "field...")
      case "fields" => Seq("field...")
      case "endpoint" => Seq("endpoint", "request")
      case _ => Seq("x")
    }
    (data ++ arguments.map(_.name)).mkString(s"$function(", ", ", ")")
  }
}

/** How an answer is held, and how its text becomes a value: "text" as it is, "boolean", "answer", the one column of its
  * JSON, or "columns", its JSON as a STRUCT. */
case class Held(labels: Seq[String], schema: Option[StructType], reading: String)

/** The named tasks: of the table that Python reads too (jar.py packs it into the jar), and the user's own, which all
  * sessions of the application share. */
object Tasks {
  private val resource = "/sparkllm/tasks.json"
  val booleans: Seq[String] = Seq("true", "false")

  lazy val table: Seq[Task] = {
    val stream = getClass.getResourceAsStream(resource)
    require(stream != null,
      s"$resource is missing from the sparkllm jar; build it with sparkllm.optimizer.jar.build_jar()")
    val all = try LLMSpec.mapper.readTree(stream) finally stream.close()
    all.fieldNames().asScala.toSeq.map(name => task(all, name))
  }

  private val own = TrieMap[String, Task]()

  def ownTasks: Seq[Task] = own.values.toSeq.sortBy(_.name)

  /** What sparkllm/own_tasks.py has checked: {"name", "prompt", "labels", "schema", "reading"}. */
  def read(json: String): Task = {
    val node = LLMSpec.mapper.readTree(json)
    val labels = texts(node.path("labels"))
    val schema = Option(node.path("schema").textValue).map(DataType.fromJson(_).asInstanceOf[StructType])
    val held = Held(labels, schema, node.path("reading").asText())
    Task(node.path("name").asText(), node.path("prompt").asText(), "", labels, "fields", held = Some(held))
  }

  def add(task: Task): Unit = own(task.name) = task

  /** What `llm('name', ...)` knows. */
  def known: Seq[Task] = table.filterNot(_.name.startsWith("ai_")) ++ ownTasks

  def names: Seq[String] = known.map(_.name).sorted

  private def task(all: JsonNode, name: String): Task = {
    val entry = all.get(name)
    val like = all.path(entry.path("as").asText())
    def of(key: String): JsonNode = if (entry.has(key)) entry.get(key) else like.path(key)
    val arguments = of("arguments").elements().asScala.toSeq.map { a =>
      TaskArgument(a.get("name").asText(), a.get("type").asText(), Option(a.get("default")).map(constant))
    }
    val output = of("output")
    val labels = output.asText() match {
      case "BOOLEAN" => booleans
      case "LABELS" => arguments.find(_.kind == "LABELS").flatMap(_.default).toSeq.flatMap(_.asInstanceOf[Seq[String]])
      case _ => texts(output)
    }
    Task(name, of("instruction").asText(), if (output.isArray) "LABELS" else output.asText(), labels,
      of("first").asText("x"), arguments, Option(of("instead").path(0).path("instruction").textValue),
      of("template").asBoolean(true))
  }

  private def constant(node: JsonNode): Any =
    if (node.isArray) texts(node) else if (node.isInt) node.asInt() else node.asText()

  private def texts(node: JsonNode): Seq[String] = node.elements().asScala.map(_.asText()).toSeq
}
