"""One solver on one instance, in this process: how long it builds its model and solves it, what memory that takes, what it answers.

    python contenders.py SOLVER INSTANCE.npz ANSWER.npz GAP SECONDS THREADS SEED

``solver.py`` starts it, with the interpreter of its own for our solvers, SciPy and PuLP, and with that of ``--peer-python`` for motile,
ortools and SCIP: for these the file needs NumPy and the library, nothing else. Every contender first solves the small instance
that lies in the same file, so that what is loaded or compiled at first use is not measured; libraries are imported and arrays read
before the clock starts. Memory is the peak of the process above what it was then, and that of its child processes.
"""

from __future__ import annotations

import gc
import json
import math
import resource
import sys
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Arrays = Mapping[str, np.ndarray]


class Limits(NamedTuple):
    """When to stop."""

    gap: float
    seconds: float
    threads: int
    seed: int


class Answer(NamedTuple):
    """The chosen detections and links, the lower bound if the solver says one, and whether it says that it has finished."""

    select: np.ndarray
    link: np.ndarray
    bound: float
    finished: bool
    solver: str


Contender = Callable[[Arrays, Limits], tuple[Callable[[], Any], Callable[[Any], Answer | None]]]


def ours(name: str) -> Contender:
    """A solver of this package."""

    def prepared(given: Arrays, limits: Limits) -> tuple[Callable[[], Any], Callable[[Any], Answer | None]]:
        from instances import unpacked

        from lineage.program import state
        from lineage.solvers import Limits as OurLimits
        from lineage.solvers import solver_named

        graph, costs = unpacked(given)
        run, within = solver_named(name), OurLimits(limits.gap, limits.seconds, limits.threads, limits.seed)

        def solve(program: Any) -> Answer:  # noqa: ANN401 - every contender has a model of its own
            found = run(program, within)
            _, selected, _ = program.decode(found.x)
            of = found.certificate
            return Answer(selected, found.x[program.blocks["link"]] > 0.5, of.bound, of.status == "optimal", f"{of.solver}: {of.status}")

        return lambda: state(graph, costs), solve

    return prepared


def scipy(given: Arrays, limits: Limits) -> tuple[Callable[[], Any], Callable[[Any], Answer | None]]:
    """SciPy's HiGHS on the whole programme at once."""
    from instances import unpacked
    from scipy.optimize import Bounds, LinearConstraint, milp

    from lineage.program import state

    graph, costs = unpacked(given)

    def build() -> Any:  # noqa: ANN401
        program = state(graph, costs)
        return program, LinearConstraint(program.matrix, program.low, program.high)

    def solve(model: Any) -> Answer | None:  # noqa: ANN401
        program, rows = model
        options = {"mip_rel_gap": limits.gap, "time_limit": limits.seconds}
        whole = np.ones(len(program), np.int64)
        found = milp(program.cost, constraints=rows, integrality=whole, bounds=Bounds(program.lower, program.upper), options=options)
        if found.x is None:
            return None
        _, selected, _ = program.decode(found.x)
        return Answer(selected, found.x[program.blocks["link"]] > 0.5, found.mip_dual_bound, found.status == 0, "HiGHS in SciPy")

    return build, solve


def pulp(given: Arrays, limits: Limits) -> tuple[Callable[[], Any], Callable[[Any], Answer | None]]:
    """PuLP with the CBC that comes with it."""
    import pulp as library
    from instances import unpacked

    from lineage.program import state
    from lineage.solvers.pulp import pulp_model

    graph, costs = unpacked(given)

    def build() -> Any:  # noqa: ANN401
        program = state(graph, costs)
        return program, *pulp_model(program)

    def solve(model: Any) -> Answer | None:  # noqa: ANN401
        program, problem, variables = model
        options = {"msg": False, "gapRel": limits.gap, "timeLimit": limits.seconds} | (
            {"threads": limits.threads} if limits.threads else {}
        )
        problem.solve(library.PULP_CBC_CMD(**options))
        if problem.sol_status not in (library.LpSolutionOptimal, library.LpSolutionIntegerFeasible):
            return None
        x = np.array([variable.value() or 0.0 for variable in variables])
        _, selected, _ = program.decode(x)
        done = problem.sol_status == library.LpSolutionOptimal
        return Answer(selected, x[program.blocks["link"]] > 0.5, -math.inf, done, "CBC in PuLP")

    return build, solve


def motile(given: Arrays, limits: Limits) -> tuple[Callable[[], Any], Callable[[Any], Answer | None]]:
    """Motile 1, with the solver that it takes by itself: Gurobi where there is a licence, otherwise SCIP; it knows no gap to stop at."""
    from motile import Solver, TrackGraph
    from motile import constraints as must
    from motile import costs as price
    from motile.variables import EdgeSelected, NodeSelected

    if len(given["pair_cost"]):
        raise SystemExit("motile has no cost for a pair of daughters")
    source, target = given["source"].tolist(), given["target"].tolist()

    def build() -> Any:  # noqa: ANN401
        graph = TrackGraph()
        names = ("select", "appear", "disappear", "divide")
        for row, (t, *values) in enumerate(zip(given["frame"].tolist(), *(given[name].tolist() for name in names), strict=True)):
            graph.add_node(row, {"t": t, **dict(zip(names, values, strict=True))})
        for i, j, cost in zip(source, target, given["link"].tolist(), strict=True):
            graph.add_edge((i, j), {"link": cost})
        solver = Solver(graph)
        solver.add_cost(price.NodeSelectedCost(attribute="select"))
        solver.add_cost(price.EdgeSelectedCost(attribute="link"))
        solver.add_cost(price.NodeAppearCost(attribute="appear"))
        solver.add_cost(price.NodeDisappearCost(attribute="disappear"))
        solver.add_cost(price.NodeSplitCost(attribute="divide"))
        solver.add_constraint(must.MaxParents(1))
        solver.add_constraint(must.MaxChildren(2))
        ends = given["set_ends"].tolist()
        if len(ends) > 1:
            rows = given["set_rows"].tolist()
            solver.add_constraint(must.ExclusiveNodes([rows[a:b] for a, b in pairwise(ends)]))
        return solver

    def solve(solver: Any) -> Answer | None:  # noqa: ANN401
        found = solver.solve(timeout=limits.seconds, num_threads=max(limits.threads, 1))
        x = np.asarray(found)
        node, edge = solver.get_variables(NodeSelected), solver.get_variables(EdgeSelected)
        select = x[[int(node[row]) for row in range(len(given["frame"]))]] > 0.5
        link = x[[int(edge[i, j]) for i, j in zip(source, target, strict=True)]] > 0.5
        status = str(found.get_status())
        backend = type(getattr(solver.ilp_solver, "_backend", solver.ilp_solver)).__name__  # which solver it took is said nowhere else
        return Answer(select, link, -math.inf, "optimal" in status.lower(), f"{backend} in motile: {status.lower()}")

    return build, solve


def scip(given: Arrays, limits: Limits) -> tuple[Callable[[], Any], Callable[[Any], Answer | None]]:
    """SCIP, by PySCIPOpt, on the programme's rows."""
    from pyscipopt import Model, quicksum

    def build() -> Any:  # noqa: ANN401
        model = Model()
        model.hideOutput()
        columns = zip(*(given[name].tolist() for name in ("cost", "lower", "upper")), strict=True)
        x = [model.addVar(vtype="B", obj=cost, lb=low, ub=high) for cost, low, high in columns]
        start, column, value = (given[name].tolist() for name in ("indptr", "indices", "data"))
        for r, (low, high) in enumerate(zip(given["low"].tolist(), given["high"].tolist(), strict=True)):
            row = quicksum(value[k] * x[column[k]] for k in range(start[r], start[r + 1]))
            model.addCons(row == low if low == high else row <= high)
        model.setParam("limits/gap", limits.gap)
        model.setParam("limits/time", limits.seconds)
        return model, x

    def solve(built: Any) -> Answer | None:  # noqa: ANN401
        model, x = built
        model.optimize()
        if model.getNSols() == 0:
            return None
        best = model.getBestSol()
        status = model.getStatus()
        values = np.array([model.getSolVal(best, variable) for variable in x])
        return _of_columns(given, values, model.getDualbound(), status in ("optimal", "gaplimit"), f"SCIP: {status}")

    return build, solve


def ortools(given: Arrays, limits: Limits) -> tuple[Callable[[], Any], Callable[[Any], Answer | None]]:
    """The SCIP that comes with ortools, on the programme's rows."""
    from ortools.linear_solver import pywraplp

    def build() -> Any:  # noqa: ANN401
        model = pywraplp.Solver.CreateSolver("SCIP")
        bounds = zip(given["lower"].tolist(), given["upper"].tolist(), strict=True)
        x = [model.IntVar(low, high, "") for low, high in bounds]
        start, column, value = (given[name].tolist() for name in ("indptr", "indices", "data"))
        for r, (low, high) in enumerate(zip(given["low"].tolist(), given["high"].tolist(), strict=True)):
            row = model.RowConstraint(low, high, "")
            for k in range(start[r], start[r + 1]):
                row.SetCoefficient(x[column[k]], value[k])
        for variable, cost in zip(x, given["cost"].tolist(), strict=True):
            model.Objective().SetCoefficient(variable, cost)
        model.Objective().SetMinimization()
        model.SetTimeLimit(int(1000 * limits.seconds))
        return model, x

    def solve(built: Any) -> Answer | None:  # noqa: ANN401
        model, x = built
        asked = pywraplp.MPSolverParameters()
        asked.SetDoubleParam(asked.RELATIVE_MIP_GAP, limits.gap)
        status = model.Solve(asked)
        if status not in (model.OPTIMAL, model.FEASIBLE):
            return None
        values = np.array([variable.solution_value() for variable in x])
        return _of_columns(given, values, model.Objective().BestBound(), status == model.OPTIMAL, "SCIP in ortools")

    return build, solve


def _of_columns(given: Arrays, x: np.ndarray, bound: float, finished: bool, solver: str) -> Answer:
    """The answer in the columns of the programme: detections first, then links."""
    n, m = len(given["frame"]), len(given["source"])
    return Answer(x[:n] > 0.5, x[n : n + m] > 0.5, bound, finished, solver)


OURS = ("auto", "dual", "highs", "greedy")
CONTENDERS: Mapping[str, Contender] = {name: ours(name) for name in OURS} | {"scipy": scipy, "pulp": pulp, "motile": motile}
CONTENDERS = {**CONTENDERS, "scip": scip, "ortools": ortools}
OUTSIDE = {"motile": "motile", "scip": "pyscipopt", "ortools": "ortools"}  # what the interpreter of the peers runs, and its package
ROWS = ("scip", "ortools")  # these read the programme's rows


def resident(field: str = "VmRSS") -> float:
    """Memory of this process, MB: what it holds now, or with ``VmHWM`` the most it has held since ``forget``."""
    try:
        line = next(line for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines() if line.startswith(field))
        return int(line.split()[1]) / 1024
    except (OSError, StopIteration):  # no Linux: the peak since the start
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def forget() -> None:
    """Let the peak begin anew, where the system allows it."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def measured(solver: str, given: Arrays, limits: Limits) -> tuple[dict[str, Any], Answer | None]:
    """Times, memory and the answer of one contender."""
    small = {name.removeprefix("small_"): column for name, column in given.items() if name.startswith("small_")}
    build, solve = CONTENDERS[solver](small, limits)
    solve(build())
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # a child begins as large as this process: that is no use of it
    build, solve = CONTENDERS[solver](given, limits)
    gc.collect()
    forget()
    before, began, worked = resident(), time.perf_counter(), time.process_time()
    model = build()
    built = time.perf_counter()
    answer = solve(model)
    solved = time.perf_counter()
    worked = time.process_time() - worked
    memory = max(resident("VmHWM") - before, 0.0)
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # PuLP runs CBC as a process of its own
    memory += largest / 1024 if largest > children else 0.0
    return {"build": built - began, "solve": solved - built, "cpu": worked, "memory": memory}, answer


def main() -> None:
    """Read the instance, measure, write the answer; print the numbers as one line of JSON."""
    solver, instance, answer_to, gap, seconds, threads, seed = sys.argv[1:]
    with np.load(instance) as file:
        given = dict(file)
    numbers, answer = measured(solver, given, Limits(float(gap), float(seconds), int(threads), int(seed)))
    found: dict[str, Any] = {"bound": -math.inf, "finished": False, "by": "nothing found"}
    if answer is not None:
        np.savez(answer_to, select=answer.select, link=answer.link)
        found = {"bound": float(answer.bound), "finished": bool(answer.finished), "by": answer.solver}
    if solver in OUTSIDE:
        found["by"] += f" ({OUTSIDE[solver]} {metadata.version(OUTSIDE[solver])})"
    print(json.dumps(numbers | found))


if __name__ == "__main__":
    main()
