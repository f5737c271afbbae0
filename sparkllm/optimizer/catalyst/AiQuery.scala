package sparkllm.catalyst

import scala.jdk.CollectionConverters._
import scala.util.Try

import com.fasterxml.jackson.databind.JsonNode
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.types._

/** `ai_query(endpoint, request, ...)` as Databricks has it; sparkllm/ai_query.py says how it is read. */
case class AiQuery(task: Task) {
  private val names = Seq("endpoint", "request", "returnType", "failOnError", "modelParameters", "responseFormat")
  private val constants = Constants(task.function, "write ai_query('default', 'Say hello to ' || name)")

  def build(arguments: Seq[Expression]): Expression = {
    val (positional, named) = CallOptions.split(
      arguments, names ++ CallOptions.names.filterNot(_ == "model"), task.function)
    if (positional.size > names.size)
      throw new CallError(s"ai_query() takes ${names.size} arguments, got ${positional.size}; ${constants.usage}")
    val given = names.zip(positional).toMap ++ names.flatMap(n => named.get(n.toLowerCase).map(n -> _))
    names.take(2).filterNot(given.contains).foreach { name =>
      throw new CallError(s"ai_query() expects $name, got none; ${constants.usage}")
    }
    val endpoint = constants.text(given("endpoint"), "endpoint")
    val prompt = PromptText(given("request"), constants, task.template)
    val parameters = given.get("modelParameters").map(maxTokens).getOrElse(Map.empty)
    val options = CallOptions(parameters ++ named, constants)
    val (held, shown) = answer(given.get("returnType"), given.get("responseFormat"))
    val fails = given.get("failOnError").map(constants.boolean(_, "failOnError"))
    val spec = LLMSpec(
      task = Some(task.name), prompt = Some(prompt.text), fields = Nil, labels = held.labels,
      model = Some(endpoint).filterNot(_ == "default"), schema = held.schema, order = options.order,
      function = Some(task.function), arguments = shown, maxTokens = options.maxTokens,
      onError = fails.map(if (_) "fail" else "struct").orElse(options.onError),
      whole = held.labels.isEmpty && held.schema.isEmpty)
    val columns = if (fails.contains(false)) ("result", "errorMessage") else TypedAnswer.valueAndError
    TaskFunction.call(spec, prompt.made, Nil, held.reading, options.selectivity, columns)
  }

  private def answer(returns: Option[Expression], response: Option[Expression]): (Held, Seq[(String, Any)]) =
    (returns, response) match {
      case (Some(_), Some(_)) => throw new CallError("ai_query() takes returnType or responseFormat, got both; leave " +
        "one out")
      case (Some(e), None) =>
        val text = constants.text(e, "returnType")
        (AnswerSchema.held(text, task.function), Seq("returnType" -> text))
      case (None, Some(e)) =>
        val text = constants.text(e, "responseFormat")
        (if (text.strip.startsWith("{")) ofJson(text) else ofColumns(text), Seq("responseFormat" -> text))
      case _ => (Held(Nil, None, "text"), Nil)
    }

  /** `STRUCT<result: STRUCT<a: INT>>` is about `a`: the outer name is the format's. */
  private def ofColumns(text: String): Held = {
    val schema = AnswerSchema.parse(text, task.function)
    val inner = schema.fields match {
      case Array(StructField(_, struct: StructType, _, _)) => struct
      case _ => schema
    }
    Held(Nil, Some(inner), "columns")
  }

  private def ofJson(text: String): Held = {
    val node = Try(LLMSpec.mapper.readTree(text)).getOrElse(
      throw new CallError(s"ai_query() expects responseFormat to be JSON or STRUCT<...>, got '$text'"))
    val schema = node.path("json_schema").path("schema")
    node.path("type").asText() match {
      case "text" => Held(Nil, None, "text")
      case "json_schema" if schema.path("type").asText() == "object" =>
        // the text of a STRING, which holds the JSON
        Held(Nil, Some(kind(schema, "schema").asInstanceOf[StructType]), "text")
      case _ => throw new CallError("ai_query() takes a responseFormat of type text, or of type json_schema with an " +
        s"object as its schema, got '$text'")
    }
  }

  private val known = Set(
    "description", "title", "$schema", "additionalProperties", "properties", "required", "type", "items")
  private val scalars = Map("string" -> StringType, "integer" -> LongType, "number" -> DoubleType,
    "boolean" -> BooleanType)

  private def types(schema: JsonNode): Seq[String] = {
    val given = schema.path("type")
    if (given.isArray) given.elements().asScala.map(_.asText()).toSeq else Seq(given.asText())
  }

  private def kind(schema: JsonNode, path: String): DataType = {
    val name = types(schema).find(_ != "null").getOrElse("")
    val more = schema.fieldNames().asScala.filterNot(known).toSeq.sorted
    val empty = name == "object" && !schema.path("properties").fieldNames().hasNext
    if (more.nonEmpty || empty || !(scalars.contains(name) || name == "object" || name == "array")) throw new CallError(
      s"ai_query() cannot hold an answer to '$path' of its responseFormat: it knows string, integer, number, " +
        s"boolean, array and object with properties, got ${if (more.nonEmpty) more.mkString(", ") else schema}")
    name match {
      case "array" => ArrayType(kind(schema.path("items"), s"$path.items"))
      case "object" =>
        val required = schema.path("required").elements().asScala.map(_.asText()).toSet
        StructType(schema.path("properties").fieldNames().asScala.toSeq.map { n =>
          column(n, schema.path("properties").get(n), required(n), s"$path.$n")
        })
      case scalar => scalars(scalar)
    }
  }

  private def column(name: String, schema: JsonNode, required: Boolean, path: String): StructField = {
    val field = StructField(name, kind(schema, path), nullable = !required || types(schema).contains("null"))
    val words = schema.path("description").asText()
    if (words.isEmpty) field else field.withComment(words)
  }

  private def maxTokens(parameters: Expression): Map[String, Expression] = parameters match {
    case s: CreateNamedStruct if s.resolved =>
      val given = s.nameExprs.map(_.eval().toString).zip(s.valExprs).toMap
      given.keys.find(_ != "max_tokens").foreach { name =>
        throw new CallError(s"ai_query() takes max_tokens of modelParameters, got '$name'; what else changes an " +
          "answer is set for the session, such as spark.sparkllm.temperature")
      }
      given
    case other => throw new CallError(
      s"ai_query() expects modelParameters to be a named_struct of constants, got ${other.sql}")
  }
}
