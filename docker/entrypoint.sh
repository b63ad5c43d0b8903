#!/usr/bin/env bash
# Start an executable of this package in the container's workspace: entrypoint.sh NAME [ARGUMENTS].
set -eo pipefail
source "/opt/ros/$ROS_DISTRO/setup.bash"
source /ws/install/setup.bash
exec "/ws/install/dense_perception/lib/dense_perception/$1" "${@:2}"
