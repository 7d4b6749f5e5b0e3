"""Schedules, solver, flow head and guidance."""

import math

import pytest
import torch

from unisono.lm.flow import FlowRecipe, flow_loss, flow_table, solve_flow
from unisono.lm.fused_head import FusedHead
from unisono.lm.head import FlowHead, sinusoid
from unisono.lm.schedules import CFG_SCHEDULES, TIME_SCHEDULES, guidance_scale, time_grid
from unisono.lm.solver import SOLVERS, euler, hold_forced

WIDTH, LATENT, ACOUSTIC = 16, 10, 6


@pytest.fixture
def head():
    torch.manual_seed(0)
    head = FlowHead(WIDTH, LATENT, 2, 2.0)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return head.eval()


@pytest.mark.parametrize("name", [*TIME_SCHEDULES, "no such name"])
@pytest.mark.parametrize("steps", [1, 2, 7, 20])
def test_time_grids_rise_from_zero_to_one(name, steps):
    grid = time_grid(name, steps)
    assert len(grid) == steps + 1 and grid[0] == 0 and grid[-1] == 1 and (grid.diff() > 0).all()


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        time_grid("uniform", 0)


@pytest.mark.parametrize("name", CFG_SCHEDULES)
def test_guidance_of_one_stays_one_and_others_begin_at_their_base(name):
    assert guidance_scale(name, 1.0, 0.4) == 1.0
    assert guidance_scale(name, 1.6, 0.0) == pytest.approx(1.6)
    assert guidance_scale(name, 1.6, 1.0) == pytest.approx(1.6 if name == "constant" else 1.0)


def test_euler_follows_a_constant_field_exactly_and_a_curved_one_nearly():
    start = torch.zeros(1)
    assert euler(lambda index, x: torch.ones(1), start, [0.0, 0.3, 1.0]).item() == pytest.approx(1.0)
    grid = [index / 1000 for index in range(1001)]
    assert euler(lambda index, x: x, start + 1, grid).item() == pytest.approx(math.e, rel=1e-3)


def walk(solver, steps, field, start):
    grid = torch.linspace(0, 1, steps + 1, dtype=torch.float64).tolist()
    times = SOLVERS[solver].nodes(grid)
    return SOLVERS[solver].run(lambda index, x: field(times[index], x), start, grid)


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_is_exact_on_straight_ways(solver):
    start, end = torch.tensor([0.5, -2.0]).double(), torch.tensor([3.0, 1.0]).double()
    torch.testing.assert_close(walk(solver, 3, lambda time, x: end - start, start), end)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2)])
def test_errors_fall_with_the_order_of_the_solver(solver, order):
    # Noise N(0, 1) to data N(1, 0.3²): the flow and its end are known.
    def field(time, x):
        spread = (1 - time) ** 2 + 0.09 * time**2
        return 1.0 + (0.09 * time - (1 - time)) / spread * (x - time)

    start = torch.tensor([1.5], dtype=torch.float64)
    errors = [abs(walk(solver, steps, field, start).item() - 1.45) for steps in (20, 40)]
    assert errors[1] < errors[0] / 2**order * 1.25 and errors[1] < 0.03


def test_dpm_needs_fewer_evaluations_than_euler_for_the_same_error():
    def field(time, x):
        spread = (1 - time) ** 2 + 0.09 * time**2
        return 1.0 + (0.09 * time - (1 - time)) / spread * (x - time)

    start = torch.tensor([1.5], dtype=torch.float64)
    error = {solver: abs(walk(solver, 12, field, start).item() - 1.45) for solver in ("euler", "dpm")}
    assert error["dpm"] < error["euler"] / 2


@pytest.mark.parametrize("solver", SOLVERS)
def test_forced_blocks_arrive_at_their_values(solver):
    noise, value = torch.randn(3, 5), torch.tensor([[1.0, -1.0]]).expand(3, 2)
    correct = hold_forced(noise, {2: value})
    end = SOLVERS[solver].run(lambda index, x: torch.randn_like(x), noise, [0.0, 0.5, 1.0], correct)
    assert torch.equal(end[:, 2:4], value)


def test_the_head_starts_as_the_zero_velocity():
    head = FlowHead(WIDTH, LATENT, 2, 2.0)
    assert not head(torch.randn(3, LATENT), torch.rand(3), torch.randn(3, WIDTH)).any()


def test_times_are_embedded_unscaled_with_cosines_first():
    wave = sinusoid(torch.tensor([1.0]), 8)
    assert wave[0, 0].item() == pytest.approx(math.cos(1.0)) and wave[0, 4].item() == pytest.approx(math.sin(1.0))
    assert sinusoid(torch.tensor([0.5]), 7)[0, -1] == 0


def test_head_equals_the_library_s_diffusion_head(head):
    from transformers.models.vibevoice.configuration_vibevoice import VibeVoiceDiffusionHeadConfig
    from transformers.models.vibevoice.modeling_vibevoice import VibeVoiceDiffusionHead

    names = {
        "t_embedder.mlp.0": "timestep_proj.fc1",
        "t_embedder.mlp.2": "timestep_proj.fc2",
        "final_layer.adaLN_modulation.1": "final_layer.linear_1",
        "final_layer.linear.": "final_layer.linear_2.",
        "adaLN_modulation.1": "linear",
    }
    sizes = {"hidden_size": WIDTH, "latent_size": LATENT, "num_hidden_layers": 2, "intermediate_size": 2 * WIDTH}
    reference = VibeVoiceDiffusionHead(VibeVoiceDiffusionHeadConfig(**sizes, rms_norm_eps=1e-5))
    weights = {}
    for name, value in head.state_dict().items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        weights[name] = value
    reference.load_state_dict(weights)
    x, times, condition = torch.randn(4, LATENT), torch.rand(4), torch.randn(4, WIDTH)
    torch.testing.assert_close(head(x, times, condition), reference(x, times, condition), atol=1e-5, rtol=0)


@pytest.mark.parametrize("rows", [1, 3])
def test_guidance_is_a_line_through_both_velocities(head, rows):
    noise, positive, negative = torch.randn(rows, LATENT), torch.randn(rows, WIDTH), torch.randn(rows, WIDTH)
    recipe = FlowRecipe(ACOUSTIC, 1, "uniform", "constant", 1.6, 0.5)
    solved = solve_flow(head, flow_table(head, recipe), noise, positive, negative)
    times = torch.zeros(rows)
    towards, away = head(noise, times, positive), head(noise, times, negative)
    scale = torch.tensor([1.6] * ACOUSTIC + [0.5] * (LATENT - ACOUSTIC))
    torch.testing.assert_close(solved, noise + away + scale * (towards - away), atol=1e-5, rtol=0)


def test_acoustic_guidance_of_one_ignores_the_negative_branch_and_duration_guidance(head):
    noise, positive = torch.randn(2, LATENT), torch.randn(2, WIDTH)
    plain = solve_flow(head, flow_table(head, FlowRecipe(ACOUSTIC, 4, acoustic_scale=1.0)), noise, positive)
    recipe = FlowRecipe(ACOUSTIC, 4, acoustic_scale=1.0, duration_scale=3.0)
    table = flow_table(head, recipe)
    assert not table.guided
    assert torch.equal(plain, solve_flow(head, table, noise, positive, torch.randn(2, WIDTH)))


def test_an_unknown_solver_is_refused(head):
    with pytest.raises(ValueError, match="unknown solver"):
        flow_table(head, FlowRecipe(ACOUSTIC, solver="guess"))


def test_the_loss_is_zero_for_the_true_velocity_and_reaches_the_hidden_states():
    target, noise, times = torch.randn(5, LATENT), torch.randn(5, LATENT), torch.rand(5)
    hidden = torch.zeros(5, LATENT, requires_grad=True)
    errors = flow_loss(lambda point, at, given: target - noise + given, hidden, target, times, noise)
    assert errors.shape == (5, LATENT) and errors.max() < 1e-10
    flow_loss(lambda point, at, given: point + given, hidden, target, times, noise).mean().backward()
    assert hidden.grad.abs().sum() > 0


@pytest.mark.parametrize(("packing", "error"), [("none", 1e-5), ("int8", 0.05)])
def test_a_fused_head_gives_the_numbers_of_the_module(head, packing, error):
    for layer in head.layers:
        torch.nn.init.normal_(layer.norm.weight)  # else it could be left out
    fused = FusedHead(head, packing)
    x, times, condition = torch.randn(4, LATENT), torch.rand(4), torch.randn(4, WIDTH)
    exact = head(x, times, condition)
    assert (fused(x, times, condition) - exact).norm() < error * exact.norm()
    noise, away = torch.randn(2, LATENT), torch.randn(2, WIDTH)
    solved = [solve_flow(h, flow_table(h, FlowRecipe(ACOUSTIC, 3)), noise, condition[:2], away) for h in (head, fused)]
    assert (solved[0] - solved[1]).norm() < error * solved[0].norm()
