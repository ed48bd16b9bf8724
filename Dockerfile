# crsr-video on the CPU:
#   docker build -t crsr-video .
#   docker run --rm -v "$PWD:/videos" crsr-video enhance holiday.mp4
# To save about 2 GB, pass the address of PyTorch's index of CPU builds:
#   docker build --build-arg TORCH_INDEX=... -t crsr-video .
FROM python:3.12-slim AS build
ARG TORCH_INDEX=""
WORKDIR /source
RUN python -m venv /opt/crsr-video
ENV PATH=/opt/crsr-video/bin:$PATH
RUN if [ -n "$TORCH_INDEX" ]; then pip install --no-cache-dir --index-url "$TORCH_INDEX" torch; fi
COPY . .
RUN pip install --no-cache-dir .

FROM python:3.12-slim
RUN useradd --create-home --uid 1000 crsr && mkdir /videos && chown crsr /videos
COPY --from=build /opt/crsr-video /opt/crsr-video
ENV PATH=/opt/crsr-video/bin:$PATH PYTHONUNBUFFERED=1
USER crsr
WORKDIR /videos
VOLUME /videos
HEALTHCHECK --interval=5m --timeout=30s CMD ["crsr-video", "--version"]
ENTRYPOINT ["crsr-video"]
CMD ["--help"]
