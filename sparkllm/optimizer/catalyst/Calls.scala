package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan

/** Where calls are. */
object Calls {
  /** The call can be evaluated below its operator: no column of an outer query, no lambda variable. */
  def extractable(call: LLMCall): Boolean = !call.exists(_.isInstanceOf[OuterReference]) && !inLambda(call)

  /** The call is inside a lambda function, whose variable it reads; a lambda inside the call is its own affair. */
  def inLambda(call: LLMCall): Boolean = variables(call).nonEmpty

  private def variables(e: Expression): Set[ExprId] = e match {
    case v: NamedLambdaVariable => Set(v.exprId)
    case l: LambdaFunction => variables(l.function) -- l.arguments.map(_.exprId)
    case other => other.children.flatMap(variables).toSet
  }

  def in(e: Expression): Boolean = e.exists { case c: LLMCall => extractable(c); case _ => false }

  /** As Spark has it, but for the calls in subqueries: they are asked once, wherever the condition stands. */
  def deterministic(e: Expression): Boolean = e match {
    case s: SubqueryExpression => s.children.forall(deterministic) && s.plan.collect {
      case p if !p.isInstanceOf[LLMEval] => p.expressions
    }.flatten.forall(deterministic)
    case other => other.deterministic ||
      other.children.exists(!_.deterministic) && other.children.forall(deterministic)
  }

  /** Every operator, subqueries too, that still holds a call; an LLMEval holds its own by right. */
  def operators(plan: LogicalPlan): Seq[LogicalPlan] = plan.collect {
    case p if p.expressions.exists(_.exists(_.isInstanceOf[LLMCall])) && !p.isInstanceOf[LLMEval] => Seq(p)
    case p => p.expressions.flatMap(_.collect { case s: SubqueryExpression => operators(s.plan) }.flatten)
  }.flatten
}
