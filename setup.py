"""Installs dense_perception: with pip where there is no ROS, and under colcon in a workspace."""

from __future__ import annotations

from glob import glob
from os.path import isfile
from xml.etree import ElementTree

from setuptools import find_packages, setup

NAME = 'dense_perception'
MANIFEST = ElementTree.parse('package.xml').getroot()

setup(
    name=NAME,
    version=MANIFEST.findtext('version'),
    description=MANIFEST.findtext('description'),
    license=MANIFEST.findtext('license'),
    maintainer=MANIFEST.findtext('maintainer'),
    maintainer_email=MANIFEST.find('maintainer').get('email'),
    python_requires='>=3.10',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_data={NAME: ['assets/*', 'assets/*/*', 'ros/*.xml']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        (f'share/{NAME}/launch', sorted(glob('launch/*.launch.py'))),
        (f'share/{NAME}/config', sorted(filter(isfile, glob('config/*')))),
        (f'share/{NAME}/config/nav2', sorted(glob('config/nav2/*'))),
    ],
    install_requires=[
        'numpy>=1.21',
        # Humble and Jazzy bring OpenCV 4, pip resolves to 5: the tests run with both.
        'opencv-python-headless>=4.5.4,<6',
        # The newest for Humble's Python 3.10 is 1.23, so nothing newer may be asked for.
        'onnxruntime>=1.17',
        'PyYAML>=5.4',
        'rosbags>=0.10',
        'rosbags-image>=0.10',
        'tqdm',
    ],
    extras_require={
        'models': ['torch>=2.6', 'timm>=1.0.11,<2', 'onnx>=1.17', 'onnxscript', 'safetensors'],
        # D3-Predictor is built on diffusers; transformers embeds its text, once, at conversion.
        'd3': ['diffusers>=0.35', 'transformers>=5'],
        # bfloat16 on x86 CPUs that have it.
        'openvino': ['openvino>=2024.0'],
        'view': ['rerun-sdk>=0.39'],
        # trimesh and pillow read modelled pieces (world/catalogue.py).
        'world': ['mujoco>=3.3', 'pillow', 'trimesh>=4.5'],
        # transformers: the reference implementation of DPT and Depth Anything.
        # TensorRT for RTX builds engines without a GPU, so that CI can.
        'test': ['diffusers>=0.35', 'dockerfile-parse', 'mypy', 'openvino>=2024.0', 'pytest>=9',
                 'pytest-xdist', 'ruff',
                 'tensorrt-rtx; platform_machine == "x86_64"', 'transformers>=5'],
    },
    entry_points={
        'console_scripts': [
            'dense-perception = dense_perception.cli.main:main',
            'image_source = dense_perception.nodes.image_source:main',
            'multi_camera = dense_perception.nodes.multi_camera:main',
            'perception = dense_perception.nodes.perception:main',
            'point_cloud = dense_perception.nodes.point_cloud:main',
        ],
    },
    zip_safe=False,
)
