package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions.{Expression, NamedArgumentExpression}

/** What every function takes by name; None is the session's. */
case class CallOptions(
    model: Option[String], order: Option[String], maxTokens: Option[Int], onError: Option[String],
    selectivity: Option[Double])

object CallOptions {
  val names: Seq[String] = Seq("model", "order", "selectivity", "max_tokens", "on_error")
  private val onErrors = Seq("null", "fail", "struct")

  def apply(named: Map[String, Expression], constants: Constants): CallOptions = CallOptions(
    named.get("model").map(constants.text(_, "model")),
    named.get("order").map(constants.oneOf(_, "order", LLMSpec.orders)),
    named.get("max_tokens").map(constants.int(_, "max_tokens", 1)),
    named.get("on_error").map(constants.oneOf(_, "on_error", onErrors)),
    named.get("selectivity").map(constants.selectivity))

  /** (by position, by name); names are known, and each is there once. */
  def split(
      arguments: Seq[Expression], known: Seq[String], function: String): (Seq[Expression], Map[String, Expression]) = {
    val given = arguments.collect { case NamedArgumentExpression(key, value) => (key.toLowerCase, value) }
    val names = given.map(_._1)
    names.find(name => !known.exists(_.equalsIgnoreCase(name))).foreach { name =>
      throw new CallError(
        s"$function() has no argument '$name'${Nearest.andThen(name, known, "Fields are given without names.")}")
    }
    names.diff(names.distinct).headOption.foreach { name =>
      throw new CallError(s"$function() got '$name' twice; give it once")
    }
    (arguments.filterNot(_.isInstanceOf[NamedArgumentExpression]), given.toMap)
  }
}
