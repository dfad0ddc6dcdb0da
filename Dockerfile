# A small image of Blemish for CPUs: `docker build -t blemish .`, then
# `docker run --rm -v "$PWD:/work" -u "$(id -u):$(id -g)" blemish synthesize --normal good.jpg …`
FROM python:3.11-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src src
# The index of CPU builds saves gigabytes of CUDA libraries.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN python -m venv /opt/blemish \
    && /opt/blemish/bin/pip install --no-cache-dir --no-compile -c constraints.txt \
        --index-url "$TORCH_INDEX" torch \
    && /opt/blemish/bin/pip install --no-cache-dir --no-compile -c constraints.txt .

FROM python:3.11-slim
COPY --from=build /opt/blemish /opt/blemish
ENV PATH=/opt/blemish/bin:$PATH HOME=/tmp
WORKDIR /work
ENTRYPOINT ["blemish"]
CMD ["--help"]
