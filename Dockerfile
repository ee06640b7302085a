# The `discovery` command on an NVIDIA GPU: see docs/installing.md.
FROM nvidia/cuda:12.9.1-base-ubuntu24.04

# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3.12 python3.12-venv \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1001 discoverer

# JAX brings the CUDA libraries that it was built for; of the host only the driver is used.
RUN python3.12 -m venv /opt/discovery
ENV PATH=/opt/discovery/bin:$PATH

WORKDIR /opt/source
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY mpo mpo
COPY envs envs
COPY discovery discovery
COPY llm_transfer llm_transfer
RUN pip install --no-cache-dir --constraint constraints.txt ".[cuda]"

USER 1001
WORKDIR /home/discoverer

ENTRYPOINT ["discovery"]
CMD ["--help"]
