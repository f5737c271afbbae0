package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._

/** The share of rows that conditions over the same answers keep together: the user's hint, what they were seen to keep,
  * or a guess from their form.
  *
  * `llm('classify', review) = 'negative'` -> 1/3, one of the task's three labels; `<>` -> 2/3; `IN` of two -> 2/3.
  * `llm('Is it spam?', text, selectivity => 0.1) = 'yes'` -> 0.1, whatever its form: the hint is about the condition as
  * a whole. NOT, AND and OR combine the shares of their sides as if those knew nothing of each other.
  *
  * @param calls the calls whose answers are columns
  * @param evidence what was seen; the first that knows the conditions counts */
case class Selectivity(calls: Map[ExprId, LLMCall], evidence: Seq[Evidence]) extends PredicateHelper {
  import Selectivity._

  def apply(conditions: Seq[Expression]): Double = {
    val guess = estimate(whole(conditions))
    hint(whole(conditions)).orElse(seen(conditions, guess)).getOrElse(guess)
  }

  /** Nobody has hinted at it or seen it. */
  def unknown(conditions: Seq[Expression]): Boolean =
    hint(whole(conditions)).isEmpty && seen(conditions, guess = 0).isEmpty

  private def whole(conditions: Seq[Expression]): Expression = withoutNullChecks(conditions).reduce(And(_, _))

  private def seen(conditions: Seq[Expression], guess: Double): Option[Double] =
    evidence.flatMap(_.share(withoutNullChecks(conditions), calls, guess)).headOption

  /** Only a condition over one answer can be the one that its hint is about. */
  private def hint(e: Expression): Option[Double] = {
    val read = e.references.map(_.exprId).toSet.filter(calls.contains)
    if (read.size == 1) calls(read.head).selectivity else None
  }

  private def estimate(e: Expression): Double = hint(e).getOrElse(e match {
    case all: And => splitConjunctivePredicates(all).map(estimate).product
    case any: Or => 1 - splitDisjunctivePredicates(any).map(1 - estimate(_)).product
    case Not(condition) => 1 - estimate(condition)
    case IsNotNull(_) => answered
    case IsNull(_) => 1 - answered
    case Equality(value, Literal(constant, _)) => among(value, Seq(constant))
    case Equality(Literal(constant, _), value) => among(value, Seq(constant))
    case In(value, list) if list.forall(_.isInstanceOf[Literal]) => among(value, list.map(_.eval()))
    case InSet(value, set) => among(value, set.toSeq)
    case _: Like | _: RLike | _: StartsWith | _: EndsWith | _: Contains => matched
    case Literal(true, _) => 1
    case Literal(false, _) | Literal(null, _) => 0
    case _ => even
  })

  /** All labels are as likely; an answer that is computed with (upper, trim) may well be one of those named. */
  private def among(value: Expression, constants: Seq[Any]): Double = {
    val labels = value.references.toSeq.flatMap(a => calls.get(a.exprId)) match {
      case Seq(call) => call.spec.choices
      case _ => Nil
    }
    val named = constants.filter(_ != null).map(_.toString).distinct
    val possible = if (value.isInstanceOf[Attribute]) named.filter(labels.contains) else named
    if (labels.isEmpty) even else math.min(1, possible.size.toDouble / labels.size)
  }
}

object Selectivity {
  private val even = 0.5
  private val answered = 0.95
  private val matched = 0.25

  /** Spark adds `r IS NOT NULL` to `r = 'a'` on the way, where it changes nothing. */
  def withoutNullChecks(conditions: Seq[Expression]): Seq[Expression] = {
    val others = conditions.filterNot(_.isInstanceOf[IsNotNull])
    if (others.isEmpty) conditions else others
  }
}
