# docker build --tag resnet . && docker run --rm --volume resnet-state:/resnet/.state resnet make run
# docs/how-to/container.md says more.

FROM python:3.11-slim AS tools
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*

FROM tools AS pipeline
WORKDIR /resnet
COPY . .
RUN make .venv/installed && rm -rf /root/.cache
ENV PATH=/resnet/.venv/bin:$PATH
CMD ["make", "help"]
