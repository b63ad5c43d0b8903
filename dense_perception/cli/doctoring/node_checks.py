"""Checks of running nodes: names, QoS, clock, state."""

from __future__ import annotations

from collections import Counter

from rclpy.qos import QoSCompatibility, qos_check_compatible

from dense_perception.cli.doctoring.findings import Finding, fail, ok, warn
from dense_perception.cli.doctoring.watcher import Perception, Watcher, names_of

_MUCH_DROPPED = 0.5


def check_names(counts: Counter[str], ours: set[str]) -> list[Finding]:
    """Nodes of one name: their parameters and services cannot be told apart."""
    if not counts:
        return [warn('nodes', 'no other node is on this domain', 'ROS_DOMAIN_ID and '
                     'ROS_AUTOMATIC_DISCOVERY_RANGE must be the same in every shell')]
    twice = {name: n for name, n in counts.items() if n > 1}
    return [(fail if name in ours else warn)(
        'nodes', f'{n} nodes are called {name}', 'give each its own namespace or name')
        for name, n in twice.items()] or [ok('nodes', f'{len(counts)} on this domain')]


def check_qos(watcher: Watcher, node: Perception) -> list[Finding]:
    """Pairs of publisher and subscription, of this node and others, that do not match."""
    graph, found = watcher.node, []
    topics = [topic for topic, _ in graph.get_publisher_names_and_types_by_node(
        node.name, node.namespace)] + [topic for topic, _ in node.images] + node.infos
    for topic in sorted(set(topics)):
        publishers = graph.get_publishers_info_by_topic(topic)
        subscriptions = graph.get_subscriptions_info_by_topic(topic)
        for publisher, subscription in ((p, s) for p in publishers for s in subscriptions):
            verdict, reason = qos_check_compatible(publisher.qos_profile,
                                                   subscription.qos_profile)
            if verdict == QoSCompatibility.ERROR:
                found.append(fail(
                    'QoS', f'{topic}: {names_of([subscription])[0]} gets nothing from '
                    f'{names_of([publisher])[0]} ({" ".join(reason.split())})',
                    'change one side; ours by qos_overrides.<topic>.publisher.* and '
                    '.subscription.reliability'))
    return found or [ok('QoS', f'every subscription of the topics of {node.path} matches')]


def check_clock(watcher: Watcher, node: Perception | None) -> list[Finding]:
    """use_sim_time and /clock belong together."""
    publishers = watcher.node.count_publishers('/clock')
    simulated = bool(node and node.parameters.get('use_sim_time'))
    if simulated and not publishers:
        return [fail('clock', f'{node.path} has use_sim_time, but nobody publishes /clock: its '
                     'time stands still', 'start the simulator, ros2 bag play --clock, or set '
                     'use_sim_time to false')]
    if simulated and not watcher.clock.messages:
        return [warn('clock', '/clock has a publisher, but nothing comes: is it paused?')]
    if node and publishers and not simulated:
        return [warn('clock', f'somebody publishes /clock, and {node.path} does not follow it',
                     'set use_sim_time to true with a simulation')]
    return [ok('clock', 'simulated time' if simulated else 'the time of this machine')]


def check_state(watcher: Watcher, node: Perception) -> list[Finding]:
    """What the node does, and what it says of itself."""
    heard, found = node.status, []
    if heard.messages:
        first, last = heard.messages[0], heard.last
        came = last.frames_in - first.frames_in
        lost = (last.dropped - first.dropped) / came if came else 0.0
        text = (f'{node.path}: {heard.rate:.1f} frames/s, latency {last.latency_ms:.0f} ms, '
                f'{lost:.0%} dropped, {"metric" if last.metric else "relative"} depth, '
                f'{last.model} on {last.backend}')
        found.append(warn('output', text, 'a smaller or quantised model, or a faster backend, '
                          'keeps up with the camera') if lost > _MUCH_DROPPED
                     else ok('output', text))
    else:
        found.append(fail('output', f'{node.path} puts out nothing although somebody listens '
                          'now', 'see what it says below'))
    state = watcher.diagnostics.get(f'{node.path.lstrip("/")}: state')
    if state is None:
        return [*found, fail('diagnostics', f'{node.path} says nothing on /diagnostics: does it '
                             'hang?')]
    level = int.from_bytes(state.level, 'little')
    if level == 0:
        return [*found, ok('diagnostics', state.message)]
    return [*found, (fail if level >= 2 else warn)('diagnostics', state.message)]
