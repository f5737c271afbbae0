package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.expressions.aggregate.AggregateExpression

/** A place of a call and the condition under which Spark would read its answer there; None: for every row. */
case class Occurrence(call: LLMCall, guard: Option[Expression])

/** Finds the calls of an expression, inner ones first, each with its guard.
  *
  * `CASE WHEN p THEN llm(a) ELSE llm(b) END` -> llm(a) where p is true, llm(b) where it is not; the same for IF and
  * COALESCE. In a chain of ANDs or ORs, whose sides Spark may evaluate in any order, those without a call come first:
  * `llm(a) = 'x' OR p` -> llm(a) where p is not true. A guard is never NULL. A condition that cannot be evaluated twice
  * or below the operator (random, a subquery, an aggregate) guards nothing. */
object Guards extends PredicateHelper {
  def occurrences(e: Expression): Seq[Occurrence] = walk(e, None)

  private def walk(e: Expression, guard: Option[Expression]): Seq[Occurrence] = e match {
    case c: LLMCall => c.children.flatMap(walk(_, guard)) :+ Occurrence(c, guard)
    case If(p, yes, no) => walk(p, guard) ++ walk(yes, and(guard, isTrue(p))) ++ walk(no, and(guard, isNotTrue(p)))
    case CaseWhen(branches, other) =>
      val (found, rest) = branches.foldLeft((Seq.empty[Occurrence], guard)) { case ((seen, g), (p, value)) =>
        (seen ++ walk(p, g) ++ walk(value, and(g, isTrue(p))), and(g, isNotTrue(p)))
      }
      found ++ other.toSeq.flatMap(walk(_, rest))
    case Coalesce(values) =>
      values.foldLeft((Seq.empty[Occurrence], guard)) { case ((seen, g), v) =>
        (seen ++ walk(v, g), and(g, IsNull(v)))
      }._1
    case all: And => chain(splitConjunctivePredicates(all), guard, c => Not(EqualNullSafe(c, Literal.FalseLiteral)))
    case any: Or => chain(splitDisjunctivePredicates(any), guard, isNotTrue)
    case other => other.children.flatMap(walk(_, guard))
  }

  /** Each side is read only where those before it leave the result `open`. */
  private def chain(
      sides: Seq[Expression], guard: Option[Expression], open: Expression => Expression): Seq[Occurrence] = {
    val (asking, plain) = sides.partition(_.exists(_.isInstanceOf[LLMCall]))
    (plain ++ asking).foldLeft((Seq.empty[Occurrence], guard)) { case ((seen, g), side) =>
      (seen ++ walk(side, g), and(g, open(side)))
    }._1
  }

  private def isTrue(p: Expression): Expression = EqualNullSafe(p, Literal.TrueLiteral)

  /** False or NULL. */
  def isNotTrue(p: Expression): Expression = Not(isTrue(p))

  private def and(guard: Option[Expression], p: Expression): Option[Expression] =
    if (usable(p)) Some(guard.map(And(_, p)).getOrElse(p)) else guard

  private def usable(p: Expression): Boolean = p.deterministic && !p.exists {
    case _: PlanExpression[_] | _: AggregateExpression | _: WindowExpression | _: Generator => true
    case _: NamedLambdaVariable | _: OuterReference | _: PythonFuncExpression => true
    case _ => false
  }
}
