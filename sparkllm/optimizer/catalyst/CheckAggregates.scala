package sparkllm.catalyst

import org.apache.spark.sql.catalyst.analysis.UnresolvedFunction
import org.apache.spark.sql.catalyst.expressions.{Expression, Literal, WindowExpression}
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.catalyst.rules.Rule

/** Says what to write where an aggregate over answers has FILTER, DISTINCT or OVER.
  *
  * Spark refuses them as well when it looks the function up, in words that know no way round: that is why this comes
  * before, with the rules for hints. */
object CheckAggregates extends Rule[LogicalPlan] {
  override def apply(plan: LogicalPlan): LogicalPlan = {
    plan.foreachWithSubqueries(_.expressions.foreach(_.foreach(check)))
    plan
  }

  private def check(e: Expression): Unit = e match {
    case WindowExpression(f: UnresolvedFunction, _) if aggregates(f) =>
      throw new CallError(s"${written(f)} cannot be over a window; group in a subquery and join that")
    case f: UnresolvedFunction if f.filter.nonEmpty && aggregates(f) => throw new CallError(
      s"${written(f)} takes no FILTER; give it CASE WHEN ${f.filter.get.sql} THEN ... END for its values")
    case f: UnresolvedFunction if f.isDistinct && aggregates(f) =>
      throw new CallError(s"${written(f)} takes no DISTINCT; take the distinct values in a subquery below")
    case _ =>
  }

  /** `llm('agg', '...', x)` is one, too. */
  private def aggregates(f: UnresolvedFunction): Boolean = {
    val ours = Tasks.table.filter(task => Seq("group", "texts").contains(task.first))
    f.nameParts.last.toLowerCase match {
      case "llm" => f.arguments.headOption.exists {
        case text: Literal => ours.exists(task => String.valueOf(text.value).trim == task.name)
        case _ => false
      }
      case name => ours.exists(_.function == name)
    }
  }

  private def written(f: UnresolvedFunction): String =
    s"${f.nameParts.last}(${f.arguments.map(_.sql).mkString(", ")})"
}
