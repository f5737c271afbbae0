package sparkllm.catalyst

import scala.collection.mutable

import org.apache.spark.sql.catalyst.expressions._

/** Chooses the order of a cascade's steps; they are named by their place.
  *
  * @param evidence of its calls, the best first */
private class CascadeOrder(cascade: Cascade, evidence: Seq[Evidence]) {
  private val steps = cascade.steps.toIndexedSeq
  private val asked: Map[ExprId, LLMCall] = steps.collect { case Ask(e) => e.result.exprId -> e.call }.toMap
  private val makers: Map[ExprId, Int] =
    steps.zipWithIndex.flatMap { case (step, i) => step.makes.map(_.exprId -> i) }.toMap
  /** The steps that must come before each step. */
  private val before: IndexedSeq[Set[Int]] = steps.foldLeft(Vector.empty[Set[Int]]) { (known, step) =>
    known :+ step.reads.toSeq.flatMap(a => makers.get(a.exprId)).flatMap(j => known(j) + j).toSet
  }
  private val calls: IndexedSeq[Set[Int]] = before.map(_.filter(steps(_).isInstanceOf[Ask]))
  private val cost: Map[Int, Double] = {
    val model = CallCost(cascade.base, asked, evidence)
    steps.zipWithIndex.collect { case (Ask(e), i) => i -> model(e.call) }.toMap
  }

  /** The filters over the same answers, in order of their first place: they drop rows together. */
  private case class Predicate(filters: Seq[Int], meanings: Seq[Expression], calls: Set[Int], share: Double)
  private val selectivity = Selectivity(asked, evidence)
  private val predicates: Seq[Predicate] = {
    val over = steps.indices.collect { case i if steps(i).isInstanceOf[Keep] && calls(i).nonEmpty => (i, meaning(i)) }
    val groups = over.groupBy { case (_, meaning) => meaning.references.map(_.exprId).filter(asked.contains).toSet }
    groups.values.toSeq.sortBy(_.head._1).map { group =>
      Predicate(group.map(_._1), group.map(_._2), calls(group.head._1), selectivity(group.map(_._2)))
    }
  }

  /** The conditions, one for the filters over the same answers, and the places of the calls that they take. */
  def conditions: Seq[(Seq[Expression], Set[Int])] = predicates.map(p => (p.meanings, p.calls))

  /** Several filters may come first, and nobody knows what one of them keeps. */
  def undecided: Boolean = {
    val first = predicates.filterNot(p => predicates.exists(o => o.calls != p.calls && o.calls.subsetOf(p.calls)))
    first.map(_.calls).distinct.size > 1 && first.exists(p => selectivity.unknown(p.meanings))
  }

  /** The share of the rows that reaches each call of these steps, which are the cascade's own in some order. */
  def reached(order: Seq[Step]): Map[ExprId, Double] = {
    val shareAt = predicates.map(p => steps(p.filters.head) -> p.share).toMap
    var share = 1.0
    order.flatMap {
      case Ask(e) => Some(e.result.exprId -> share)
      case step =>
        share *= shareAt.getOrElse(step, 1.0)
        None
    }.toMap
  }

  private val placed = mutable.LinkedHashSet[Int]()

  /** The steps in a better order, if there is one. */
  def better: Option[Seq[Step]] = {
    settle()
    while (open.nonEmpty) run(open.minBy(rank))
    steps.indices.foreach(place)
    val order = placed.toSeq
    val paid = order.filter(i => steps(i) match {
      case _: Ask => true
      case _: Keep => calls(i).nonEmpty // where a filter without answers stands is PushFilters' business
      case _: Compute => false
    })
    if (paid == paid.sorted) None else Some(order.map(steps))
  }

  private def open: Seq[Predicate] = predicates.filterNot(_.filters.forall(placed))

  private def missing(p: Predicate): Set[Int] = p.calls.filterNot(placed)

  private def rank(p: Predicate): Double = missing(p).toSeq.map(cost).sum / (1 - p.share)

  /** What needs only some of the calls that `p` needs comes before it. */
  private def run(p: Predicate): Unit = {
    val inner = open.filter(o => missing(o).subsetOf(missing(p)) && missing(o) != missing(p))
    if (inner.isEmpty) missing(p).toSeq.sorted.foreach(place)
    else {
      run(inner.minBy(rank))
      run(p)
    }
  }

  private def place(i: Int): Unit = (before(i).toSeq.sorted :+ i).foreach { j =>
    if (placed.add(j) && steps(j).isInstanceOf[Ask]) settle()
  }

  /** Every filter whose answers are there. */
  private def settle(): Unit = steps.indices.foreach { i =>
    if (steps(i).isInstanceOf[Keep] && calls(i).subsetOf(placed)) place(i)
  }

  /** The condition of a filter without the columns that are computed in between. */
  private def meaning(filter: Int): Expression = {
    val columns = steps.collect { case Compute(column) => column }
    InlineColumns(steps(filter).asInstanceOf[Keep].condition, columns)
  }
}
